-- advance: move the clock of a test's namespace on, and with it everything that goes by the clock of the server.
-- KEYS: the clock. ARGV: by how many ms, or "next": to the next moment at which a scheduled job is due; and whether
-- leases run out, too ("1"), or are as long as before ("").
-- Brings by how many ms it was moved. -1: nothing is scheduled for later.
-- NEEDS: namespace
local clock, ms, leases_run_out = KEYS[1], tonumber(ARGV[1]), ARGV[2] == '1'
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000) + tonumber(redis.call('GET', clock) or 0)
local queues = redis.call('SMEMBERS', namespace .. ':queues')
local function key_of(queue, name)
  return namespace .. ':{' .. queue .. '}:' .. name
end
if not ms then
  for _, queue in ipairs(queues) do
    local scheduled = key_of(queue, 'scheduled')
    local due = redis.call('ZRANGEBYSCORE', scheduled, now + 1, '+inf', 'WITHSCORES', 'LIMIT', 0, 1)[2]
    if due then
      ms = math.min(ms or math.huge, math.floor(tonumber(due)) - now)
    end
  end
  if not ms then
    return -1
  end
end

-- A worker that lives keeps its lease for as long as it has it, and so what the server knows of it.
local function move_leases(key)
  for _, worker in ipairs(redis.call('ZRANGEBYSCORE', key, now, '+inf')) do
    redis.call('ZINCRBY', key, ms, worker)
  end
end
local function belongs_to_workers(key)
  local name = string.match(key, '}:(%a+)$')
  return name == 'leases' or name == 'sessions' or string.find(key, namespace .. ':worker:', 1, true) == 1
end
for key in pairs(all_keys()) do
  if belongs_to_workers(key) and not leases_run_out then
    if string.match(key, '}:leases$') then
      move_leases(key)
    end
  else
    local left = redis.call('PTTL', key)
    if left >= 0 and left <= ms then
      redis.call('DEL', key)
    elseif left >= 0 then
      redis.call('PEXPIRE', key, left - ms)
    end
  end
end
redis.call('INCRBY', clock, ms)
for _, queue in ipairs(queues) do
  local wake = key_of(queue, 'wake')
  if redis.call('EXISTS', wake) == 0 then
    redis.call('RPUSH', wake, '1')
    redis.call('PEXPIRE', wake, 60000)
  end
end
return ms
