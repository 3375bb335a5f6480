-- sole_parent: a job that depends on one job alone, of its own queue, has no list of what is open (`open:<id>`): that is open
-- as long as the job is deferred. So most dependents need a key and three commands less.
-- parents: the field of the job; long ones are not looked through.
local function sole_parent(parents)
  return parents and string.match(parents, '^%a([^,@]+)$')
end
