-- stop: end the run of a started job; it is not retried.
-- KEYS: main front scheduled expiring job attempts stopped
-- ARGV: control failure_ttl id
-- SAYS: ok already refused gone
-- refused brings the status that does not allow it. With a retention of 0 the job is deleted.
--@include now
--@include read
--@include transition
--@include late
--@include leave
--@include usual
--@include keep
--@include notify
--@include end_run

local seen = peek(id, 'status', 'entry', 'worker', 'fence', 'waiters', 'failure_ttl', 'expires_at')
if not seen[1] then
  return {'gone'}
end
if seen[1] == 'stopped' then
  return {'already'}
end
if not allows(seen[1], 'stop') then
  return {'refused', is_late(seen[1], seen[7]) and 'expired' or seen[1]}
end
local ttl = number(seen[6], tonumber(failure_ttl))
end_run(id, seen)
tell(seen[5], id, 'stopped')
if ttl == 0 then
  redis.call('DEL', job .. id, attempts .. id)
else
  redis.call('HSET', job .. id, 'status', 'stopped', 'ended_at', now)
  redis.call('HDEL', job .. id, 'waiters')
  keep(stopped, id, ttl)
  set_retention(attempts .. id, ttl)
  flush_kept()
end
flush_mail()
return {'ok'}
