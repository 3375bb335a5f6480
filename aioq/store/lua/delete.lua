-- delete: remove jobs and every trace of them; a run in progress is told to end.
-- KEYS: main front scheduled expiring job attempts finished failed canceled stopped expired
-- ARGV: control only ids...
-- SAYS: ok
-- only: a status that the jobs must have, or ''. Returns how many were deleted.
--@include now
--@include read
--@include late
--@include leave
--@include notify
--@include forget
--@include end_run

local deleted = 0
for i = ids, #ARGV do
  local id = ARGV[i]
  local seen = peek(id, 'status', 'entry', 'worker', 'fence', 'waiters', 'expires_at')
  local status = is_late(seen[1], seen[6]) and 'expired' or seen[1]
  if not status and only == '' and redis.call('DEL', job .. id) == 1 then
    deleted = deleted + 1 -- something else than a job
  elseif status and (only == '' or only == status) then
    end_run(id, seen)
    forget(id, status)
    tell(seen[5], id, 'deleted')
    deleted = deleted + 1
  end
end
flush_mail()
return {'ok', deleted}
