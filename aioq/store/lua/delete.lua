-- delete: remove jobs and every trace of them; a run in progress is told to end.
-- KEYS: main front scheduled expiring job attempts registries
-- ARGV: control only call repeat_ms ids...
-- SAYS: ok
-- MAKES: gone done
-- NEEDS: read late doors/follow remove_job forget stale receipt take_out
-- only: a status that the jobs must have, or ''. Returns how many were deleted. What lists a job that is gone lists it no
-- longer.

local sent_before = receipt()
if sent_before then
  return sent_before
end
local deleted = {}
for i = ids, #ARGV do
  local id = ARGV[i]
  local stored, entry, runner, fence, after, expires_at =
    peek(id, 'status', 'entry', 'worker', 'fence', 'after', 'expires_at')
  local status = is_late(stored, expires_at) and 'expired' or stored
  if not status then
    leave_indexes(id)
    if only == '' and redis.call('DEL', job .. id) == 1 then
      deleted[#deleted + 1] = id -- something else than a job
    end
  elseif only == '' or only == status then
    take_out(id, 'deleted', stored, entry, runner, fence)
    leave_registry(id, status)
    remove_job(id, 'deleted', after)
    deleted[#deleted + 1] = id
  end
end
flush_ends()
if #deleted == 0 then
  return {'ok', 0}
end
return keep_receipt({'ok', #deleted}, deleted)
