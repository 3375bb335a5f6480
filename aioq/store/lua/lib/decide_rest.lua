-- decide_rest: ends with so many dependents that the scripts before this one did not get to all of them.
-- NEEDS: doors/follow
-- only: those of the job with this id, if one is named.
local function decide_rest(only)
  -- MAKES: undecided
  for _, row in ipairs(redis.call('ZRANGE', undecided, 0, -1)) do
    local id, how = string.match(row, '^(%S+) (%S+)$')
    if not only or id == only then
      redis.call('ZREM', undecided, row)
      if string.find(how, 'children/', 1, true) == 1 then
        decide_children_later(id)
      else
        decide_later(id, string.match(how, '%l+$'), string.find(how, 'gone/', 1, true) == 1)
      end
    end
  end
end
