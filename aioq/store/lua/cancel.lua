-- cancel: take a job back; if it runs, its worker is told to end the run.
-- KEYS: main front scheduled expiring job attempts registries
-- ARGV: control canceled_ttl call repeat_ms id
-- SAYS: ok already refused gone
-- MAKES: gone done
-- NEEDS: now read allows late keep doors/follow doors/end_job forget stale end_run receipt
-- refused brings the status that does not allow it. What lists a job that is gone lists it no longer.

local sent_before = receipt()
if sent_before then
  return sent_before
end
local seen = peek(id, 'status', 'entry', 'worker', 'fence', 'after', 'expires_at')
local status = is_late(seen[1], seen[6]) and 'expired' or seen[1]
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
end_run(id, seen, 'canceled')
leave_registry(id, status)
end_job(canceled, id, 'canceled', tonumber(canceled_ttl), seen[5], true, now)
flush_kept()
flush_mail()
return keep_receipt({'ok'})
