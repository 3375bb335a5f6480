-- stop: end the run of a started job; it is not retried.
-- KEYS: main front scheduled expiring job attempts registries
-- ARGV: control failure_ttl call repeat_ms id
-- SAYS: ok already refused gone
-- MAKES: gone done
-- NEEDS: now read allows late keep doors/follow doors/end_job stale end_run receipt
-- refused brings the status that does not allow it. With a retention of 0 the job is deleted. What lists a job that is
-- gone lists it no longer.

local sent_before = receipt()
if sent_before then
  return sent_before
end
local seen = peek(id, 'status', 'entry', 'worker', 'fence', 'after', 'failure_ttl', 'expires_at')
if not seen[1] then
  leave_indexes(id)
  return {'gone'}
end
if seen[1] == 'stopped' then
  return {'already'}
end
if not allows(seen[1], 'stop') then
  return {'refused', is_late(seen[1], seen[7]) and 'expired' or seen[1]}
end
end_run(id, seen, 'stopped')
end_job(stopped, id, 'stopped', number(seen[6], tonumber(failure_ttl)), seen[5], true, now)
flush_kept()
flush_mail()
return keep_receipt({'ok'})
