-- allows: whether a job may do what a verb does, by the table of values/states.py.
-- NEEDS: NEXT
local function allows(status, verb)
  return status and NEXT[status] and NEXT[status][verb] or false
end
