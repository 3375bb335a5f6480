-- retake: a job that has ended, and begins anew, takes the results of other jobs again, as far as they are there.
-- NEEDS: read sole_parent
local function takes_results(parents)
  return parents and string.find(',' .. parents, ',%u') ~= nil
end
-- is_waiting: it waits for others again. Those that it waits for list it already. Returns its `after`.
local function take_again(id, parents, after, is_waiting)
  -- MAKES: open dependents ended_by outbox
  -- NEEDS: outlive outbox more/takers
  local edition = peek(id, 'edition')
  each_taken(parents, function(parent, is_elsewhere)
    if redis.call('SISMEMBER', open .. id, parent) == 1 or is_waiting and sole_parent(parents) == parent then
      return
    elseif is_elsewhere then
      put_row('depend', parent, TAKER, name_elsewhere(id, edition))
      tell_outbox()
    elseif redis.call('EXISTS', job .. parent) == 1 then
      redis.call('ZADD', dependents .. parent, TAKER, id)
      outlive(parent, true)
    end
  end)
  if not after or not string.find(' ' .. after .. ' ', ' takes ', 1, true) then -- a late one has it still
    after = after and after .. ' takes' or 'takes'
    redis.call('HSET', job .. id, 'after', after)
  end
  return after
end
