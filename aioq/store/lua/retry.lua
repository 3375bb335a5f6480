-- retry: started jobs whose function raised, and which get another attempt, at once or after a pause.
-- KEYS: main front wake scheduled expiring job attempts
-- ARGV: expired_ttl jobs...
-- SAYS: ok
-- NEEDS: now wake lane schedule holds history
-- A job is: id, fence, error, delay (ms), lane.
-- Returns position (from 0) and verdict of each job that was not recorded: stale or gone.

expired_ttl = tonumber(expired_ttl)

local run, _, refused = judge(ARGV, jobs, 5)
for _, at in ipairs(run) do
  local id, error, delay, at_front = ARGV[at], ARGV[at + 2], tonumber(ARGV[at + 3]), ARGV[at + 4] == 'front'
  archive(id, 'failed', error)
  if delay == 0 then
    redis.call('HSET', job .. id, 'error', error)
    return_to_lane(id, at_front)
  else
    redis.call('HSET', job .. id, 'status', 'scheduled', 'error', error, 'due_at', now + delay)
    if at_front then
      redis.call('HSET', job .. id, 'front', '1')
    else
      redis.call('HDEL', job .. id, 'front')
    end
    enter_schedule(id, now + delay)
  end
end
if #run > 0 then
  wake_one()
end
return {'ok', refused}
