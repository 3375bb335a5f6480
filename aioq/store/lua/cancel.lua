-- cancel: take a job back; if it runs, its worker is told to end the run.
-- KEYS: main front scheduled expiring job attempts registries
-- ARGV: control canceled_ttl call repeat_ms id
-- SAYS: ok already refused gone
-- MAKES: gone done
-- NEEDS: now read allows late keep doors/follow doors/end_job forget stale receipt take_out
-- refused brings the status that does not allow it. What lists a job that is gone lists it no longer.

local sent_before = receipt()
if sent_before then
  return sent_before
end
local stored, entry, runner, fence, after, expires_at =
  peek(id, 'status', 'entry', 'worker', 'fence', 'after', 'expires_at')
local status = is_late(stored, expires_at) and 'expired' or stored
if not status then
  leave_indexes(id)
  return {'gone'}
end
if status == 'canceled' then
  return {'already'}
end
if not allows(status, 'cancel') then
  return {'refused', status}
end
take_out(id, 'canceled', stored, entry, runner, fence)
if status == 'failed' then
  redis.call('HDEL', job .. id, 'waited_for') -- it is this that has ended it now, and not a job that it waited for
end
leave_registry(id, status)
end_job(canceled, id, 'canceled', tonumber(canceled_ttl), after, true, now)
flush_kept()
flush_ends()
return keep_receipt({'ok'}, {id})
