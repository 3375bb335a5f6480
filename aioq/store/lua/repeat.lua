-- repeat: started jobs whose run is over, and which run again in their series, at once or at a moment.
-- KEYS: main front wake scheduled expiring job attempts
-- ARGV: expired_ttl jobs...
-- SAYS: ok
-- NEEDS: now wake lane schedule holds history
-- A job is: id, fence, outcome (finished or failed), value (the result or the error), due (ms). It has not ended: what the
-- run came to goes to the history, and the next run begins anew, with all its attempts.
-- Returns position (from 0) and verdict of each job that was not recorded: stale or gone.

expired_ttl = tonumber(expired_ttl)

local run, refused = judge(ARGV, jobs, 5)
for _, at in ipairs(run) do
  local id, fence, outcome, value, due = unpack(ARGV, at, at + 4)
  local key = job .. id
  local is_finished = outcome == 'finished'
  archive(id, outcome, is_finished and '' or value, is_finished and value)
  -- What follows from each run, and not from the end of the job, belongs here: the job has its record, and `judge`
  -- returns the field `after` of each. What follows from the end waits for the end of the series.
  count_up(id, 'repeats')
  redis.call('HDEL', key, 'error', 'lane', 'deliveries', 'deaths', 'is_alone')
  redis.call('HSET', key, 'uncounted', fence, 'due_at', due)
  if not is_finished then
    redis.call('HSET', key, 'error', value)
  end
  if tonumber(due) <= now then
    return_to_lane(id)
  else
    redis.call('HSET', key, 'status', 'scheduled')
    enter_schedule(id, tonumber(due))
  end
end
if #run > 0 then
  wake_one()
end
return {'ok', refused}
