-- examine: look at some of what is stored by the laws of the design, and repair what is wrong if that is asked for.
-- KEYS: main front wake scheduled expiring leases sessions job attempts finished failed canceled stopped expired damaged
-- ARGV: repair expired_ttl subjects...
-- SAYS: ok
-- MAKES: gone
-- A subject is: the check, what the check needs to know (mostly a key), and a name (a job, an entry, a key).
-- repair: 1 or ''. Returns for each finding its kind, the name that it is about, what is wrong, and whether it was
-- repaired.
-- To register a check, put a function into `checks` in a file of lib, and what leads to it into store/examination.py.
--@include now
--@include read
--@include transition
--@include late
--@include wake
--@include entries
--@include delivered
--@include lane
--@include leave_run
--@include lease
--@include usual
--@include keep
--@include follow
--@include tombstone
--@include remove_job
--@include end_job
--@include forget
--@include history
--@include failure
--@include finding
local checks = {}
--@include check_job
--@include check_index
--@include check_lane
--@include check_worker
--@include check_key

expired_ttl = tonumber(expired_ttl)
for at = subjects, #ARGV, 3 do
  checks[ARGV[at]](ARGV[at + 1], ARGV[at + 2])
end
flush_mail()
return {'ok', findings}
