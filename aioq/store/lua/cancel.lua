-- cancel: take a job back; if it runs, its worker is told to end the run.
-- KEYS: main front scheduled expiring job attempts finished failed canceled stopped expired
-- ARGV: control canceled_ttl id
-- SAYS: ok already refused gone
-- refused brings the status that does not allow it.
--@include now
--@include read
--@include transition
--@include late
--@include leave
--@include usual
--@include keep
--@include notify
--@include forget
--@include end_run

local seen = peek(id, 'status', 'entry', 'worker', 'fence', 'waiters', 'expires_at')
local status = is_late(seen[1], seen[6]) and 'expired' or seen[1]
if not status then
  return {'gone'}
end
if status == 'canceled' then
  return {'already'}
end
if not allows(status, 'cancel') then
  return {'refused', status}
end
end_run(id, seen)
leave_registry(id, status)
redis.call('HSET', job .. id, 'status', 'canceled', 'ended_at', now)
redis.call('HDEL', job .. id, 'waiters', 'expires_at')
keep(canceled, id, tonumber(canceled_ttl))
set_retention(attempts .. id, tonumber(canceled_ttl))
tell(seen[5], id, 'canceled')
flush_kept()
flush_mail()
return {'ok'}
