-- glance: what a list shows of jobs: their short fields, and longer ones cut; nothing for a job that is not there.
-- KEYS: job attempts
-- ARGV: most ids...
-- SAYS: ok
-- NEEDS: late
-- most: a call of more bytes is left out, and `cut` says so. Of an error comes its first line, which is of programs.
-- However much the jobs hold, the reply is short, and what is long is not even read.

local names = {'status', 'func', 'opts', 'fence', 'uncounted', 'deliveries', 'worker', 'created_at', 'enqueued_at',
  'due_at', 'expires_at', 'started_at', 'ended_at', 'parents', 'reason', 'repeats'}
most = tonumber(most)

local function add(fields, name, value)
  fields[#fields + 1] = name
  fields[#fields + 1] = value
end
local function glance(key)
  local values = redis.pcall('HMGET', key, unpack(names))
  local found, fields = {}, {}
  for i, name in ipairs(names) do
    found[name] = not values.err and values[i]
  end
  if not found.status then
    return fields -- something else than a job, or nothing
  end
  if is_late(found.status, found.expires_at) then
    found.status, found.ended_at = 'expired', found.expires_at
  end
  for _, name in ipairs(names) do
    if found[name] and #found[name] <= most then
      add(fields, name, found[name])
    end
  end
  if redis.call('HSTRLEN', key, 'data') > most then
    add(fields, 'cut', '1')
  else
    add(fields, 'data', redis.call('HMGET', key, 'data')[1] or '')
  end
  local failure = redis.call('HMGET', key, 'error')[1]
  if failure then
    add(fields, 'error', string.match(string.sub(failure, 1, most), '^[^\n]*'))
  end
  return fields
end

local found = {}
for i = ids, #ARGV do
  found[#found + 1] = glance(job .. ARGV[i])
end
return {'ok', found}
