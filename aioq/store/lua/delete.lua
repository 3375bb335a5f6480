-- delete: remove jobs and every trace of them; a run in progress is told to end.
-- KEYS: main front scheduled expiring job attempts finished failed canceled stopped expired
-- ARGV: control only ids...
-- SAYS: ok
-- only: a status that the jobs must have, or ''. Returns how many were deleted.
--@include now
--@include leave
--@include notify
--@include forget
--@include end_run

local deleted = 0
for i = ids, #ARGV do
  local id = ARGV[i]
  local seen = redis.call('HMGET', job .. id, 'status', 'entry', 'worker', 'fence', 'waiters')
  if seen[1] and (only == '' or only == seen[1]) then
    end_run(id, seen)
    forget(id, seen[1])
    tell(seen[5], id, 'deleted')
    deleted = deleted + 1
  end
end
flush_mail()
return {'ok', deleted}
