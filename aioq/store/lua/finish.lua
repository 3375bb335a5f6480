-- finish: started jobs whose function returned; keep their results.
-- KEYS: main front job attempts finished
-- ARGV: jobs...
-- SAYS: ok
-- A job is: id, fence, result, ttl (ms; -1: for ever; 0: the result is not kept, the record a moment longer).
-- Returns position (from 0) and verdict of each job that was not recorded: already, stale or gone.
--@include now
--@include leave
--@include usual
--@include keep
--@include notify
--@include holds

local TOMBSTONE = 5000 -- ms in which a job without a kept result can still be seen to have finished
local refused, run = {}, {}

for at = jobs, #ARGV, 4 do
  local verdict, seen = holds(ARGV[at], ARGV[at + 1], 'finished')
  if verdict == 'ok' then
    leave_lane(seen[3])
    run[#run + 1] = {at, seen[4]}
  else
    refused[#refused + 1] = (at - jobs) / 4
    refused[#refused + 1] = verdict
  end
end
flush_lanes()

for _, each in ipairs(run) do
  local at, waiters = each[1], each[2]
  local id, fence, result, ttl = ARGV[at], ARGV[at + 1], ARGV[at + 2], tonumber(ARGV[at + 3])
  local is_kept = ttl ~= 0
  if is_kept then
    redis.call('HSET', job .. id, 'status', 'finished', 'ended_at', now, 'result', result)
  else
    ttl = TOMBSTONE
    redis.call('HSET', job .. id, 'status', 'finished', 'ended_at', now)
    redis.call('HDEL', job .. id, 'data')
  end
  keep(finished, id, ttl)
  if fence ~= '1' then
    redis.call('HDEL', job .. id, 'error')
    set_retention(attempts .. id, ttl)
  end
  if waiters then
    tell(waiters, id, 'finished', result, not is_kept)
    redis.call('HDEL', job .. id, 'waiters')
  end
end
flush_kept()
flush_mail()
return {'ok', refused}
