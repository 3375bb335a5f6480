-- finish: started jobs whose function returned; keep their results.
-- KEYS: main front job attempts finished
-- ARGV: jobs...
-- SAYS: ok
-- A job is: id, fence, result, ttl (ms; -1: for ever; 0: the result is not kept, the record a moment longer).
-- Returns position (from 0) and verdict of each job that was not recorded: already, stale or gone.
--@include now
--@include read
--@include leave
--@include usual
--@include keep
--@include notify
--@include holds

local TOMBSTONE = 5000 -- ms in which a job without a kept result can still be seen to have finished

local run, seen, refused = judge(ARGV, jobs, 4, 'finished')
for _, at in ipairs(run) do
  local id, fence, result, ttl = ARGV[at], ARGV[at + 1], ARGV[at + 2], tonumber(ARGV[at + 3])
  local waiters, is_kept = seen[at][4], ttl ~= 0
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
