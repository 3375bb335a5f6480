-- keep: enter the registry of a final state, with a retention in ms (-1: for ever).
-- A registry is ordered by when its jobs ended; its companion `<registry>:until` by when they are forgotten.
local kept = {}
local function set_retention(key, ttl)
  if ttl < 0 then
    redis.call('PERSIST', key)
  else
    redis.call('PEXPIRE', key, ttl)
  end
end
local function keep(registry, id, ttl)
  local rows = kept[registry]
  if not rows then
    rows = {ended = {}, forgotten = {}, longest = 0}
    kept[registry] = rows
  end
  rows.ended[#rows.ended + 1] = now
  rows.ended[#rows.ended + 1] = id
  set_retention(job .. id, ttl)
  if ttl < 0 then
    rows.forever = true
  else
    rows.forgotten[#rows.forgotten + 1] = now + ttl
    rows.forgotten[#rows.forgotten + 1] = id
    rows.longest = math.max(rows.longest, ttl)
  end
end
-- A registry lives as long as its longest kept member, so it goes even if no worker ever sweeps it.
local function add_members(key, members, ttl)
  local left = redis.call('PTTL', key)
  redis.call('ZADD', key, unpack(members))
  if ttl < 0 then
    if left >= 0 then
      redis.call('PERSIST', key)
    end
  elseif left == -2 or (left >= 0 and left < ttl) then
    redis.call('PEXPIRE', key, ttl)
  end
end
local function flush_kept()
  for registry, rows in pairs(kept) do
    add_members(registry, rows.ended, rows.forever and -1 or rows.longest)
    if #rows.forgotten > 0 then
      add_members(registry .. ':until', rows.forgotten, rows.longest)
    end
  end
end
