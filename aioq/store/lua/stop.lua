-- stop: end the run of a started job; it is not retried.
-- KEYS: main front scheduled expiring job attempts registries
-- ARGV: control failure_ttl call repeat_ms id
-- SAYS: ok already refused gone
-- MAKES: gone done
-- NEEDS: now read allows late keep doors/follow doors/end_job stale receipt take_out
-- refused brings the status that does not allow it. With a retention of 0 the job is deleted. What lists a job that is
-- gone lists it no longer.

local sent_before = receipt()
if sent_before then
  return sent_before
end
local status, entry, runner, fence, after, own_ttl, expires_at =
  peek(id, 'status', 'entry', 'worker', 'fence', 'after', 'failure_ttl', 'expires_at')
if not status then
  leave_indexes(id)
  return {'gone'}
end
if status == 'stopped' then
  return {'already'}
end
if not allows(status, 'stop') then
  return {'refused', is_late(status, expires_at) and 'expired' or status}
end
take_out(id, 'stopped', status, entry, runner, fence)
end_job(stopped, id, 'stopped', number(own_ttl, tonumber(failure_ttl)), after, true, now)
flush_kept()
flush_ends()
return keep_receipt({'ok'}, {id})
