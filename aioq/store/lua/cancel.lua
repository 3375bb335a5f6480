-- cancel: take a job back; if it runs, its worker is told to end the run.
-- KEYS: main front scheduled expiring job attempts finished failed canceled stopped expired
-- ARGV: control canceled_ttl id
-- SAYS: ok already refused gone
-- refused brings the status that does not allow it.
--@include now
--@include transition
--@include leave
--@include keep
--@include notify
--@include forget
--@include end_run

local seen = redis.call('HMGET', job .. id, 'status', 'entry', 'worker', 'fence', 'waiters')
if not seen[1] then
  return {'gone'}
end
if seen[1] == 'canceled' then
  return {'already'}
end
if not allows(seen[1], 'cancel') then
  return {'refused', seen[1]}
end
end_run(id, seen)
leave_registry(id, seen[1])
redis.call('HSET', job .. id, 'status', 'canceled', 'ended_at', now)
redis.call('HDEL', job .. id, 'waiters', 'expires_at')
keep(canceled, id, tonumber(canceled_ttl))
set_retention(attempts .. id, tonumber(canceled_ttl))
tell(seen[5], id, 'canceled')
flush_kept()
flush_mail()
return {'ok'}
