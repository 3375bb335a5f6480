-- view: a job as a reader must see it.
-- NEEDS: late
local function view(key)
  local fields = redis.pcall('HGETALL', key)
  if fields.err then
    if not string.find(fields.err, 'WRONGTYPE', 1, true) then
      return redis.call('HGETALL', key)
    end
    fields = {} -- something else than a job
  end
  local status_at, expires_at
  for i = 1, #fields, 2 do
    if fields[i] == 'status' then
      status_at = i + 1
    elseif fields[i] == 'expires_at' then
      expires_at = fields[i + 1]
    end
  end
  if status_at and is_late(fields[status_at], expires_at) then
    fields[status_at] = 'expired'
    fields[#fields + 1] = 'ended_at'
    fields[#fields + 1] = expires_at
  end
  return status_at and fields or {}
end
