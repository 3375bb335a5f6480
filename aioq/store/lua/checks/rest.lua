-- rest: checks that use nothing of one another. They are made inside a function of their own, since Lua gives a function 200
-- local variables, and those of all checks come to more.
local function add_rest()
  -- NEEDS: checks/worker checks/key
end
add_rest()
