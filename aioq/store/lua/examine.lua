-- examine: look at some of what is stored by the laws of the design, and repair what is wrong if that is asked for.
-- KEYS: main front wake scheduled expiring leases sessions job attempts registries damaged
-- ARGV: repair expired_ttl subjects...
-- SAYS: ok
-- MAKES: gone deferred open dependents ended_by children undecided outbox sources groups group members over sequel
-- A subject is: the check, what the check needs to know (mostly a key), and a name (a job, an entry, a key).
-- repair: 1 or ''. Returns for each finding its kind, the name that it is about, what is wrong, and whether it was
-- repaired.
-- To register a check, put a function into `checks` in a file of checks/, name that file below, and put what leads to it
-- into store/examination.py.

-- Lua gives a function 200 local variables; those of the checks and those of the keys come to more. So the checks are in one
-- function, and what runs them is in another one.
local function look_at_all()
  -- NEEDS: doors/follow finding more/dependents checks/job checks/index checks/lane checks/worker checks/key checks/dependents checks/groups
  expired_ttl = tonumber(expired_ttl)
  return function()
    for at = subjects, #ARGV, 3 do
      checks[ARGV[at]](ARGV[at + 1], ARGV[at + 2])
    end
    flush_decided()
    flush_ends()
    return {'ok', findings}
  end
end
return look_at_all()()
