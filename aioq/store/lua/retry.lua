-- retry: started jobs whose function raised, and which get another attempt, at once or after a pause.
-- KEYS: main front wake scheduled expiring job attempts
-- ARGV: expired_ttl jobs...
-- SAYS: ok
-- NEEDS: now wake lane schedule holds history
-- A job is: id, fence, error, delay (ms), lane ('' for the main one).
-- Returns position (from 0) and verdict of each job that was not recorded: stale or gone.

expired_ttl = tonumber(expired_ttl)

local run, refused = judge(ARGV, jobs, 5)
for _, at in ipairs(run) do
  local id, error, delay, lane = ARGV[at], ARGV[at + 2], tonumber(ARGV[at + 3]), ARGV[at + 4]
  archive(id, 'failed', error)
  if delay == 0 then
    redis.call('HSET', job .. id, 'error', error)
    return_to_lane(id, lane)
  else
    redis.call('HSET', job .. id, 'status', 'scheduled', 'error', error, 'due_at', now + delay)
    if lane ~= '' then
      redis.call('HSET', job .. id, 'lane', lane)
    else
      redis.call('HDEL', job .. id, 'lane')
    end
    enter_schedule(id, now + delay)
  end
end
if #run > 0 then
  wake_one()
end
return {'ok', refused}
