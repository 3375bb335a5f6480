-- edge: a job that another one waits for is there, and lists that one. Those of other queues are out of reach here.
-- NEEDS: FINAL read finding outlive doors/follow children more/dependents edge_scores
local CANCEL = 2
local function score_of(id, parent)
  for letter, name in string.gmatch(peek(id, 'parents') or '', '(%a)([^,]+)') do
    if name == parent then
      return EDGE_SCORES[letter] or CANCEL
    end
  end
  return CANCEL
end

-- Whether something is reported.
local function check_edge(id, parent)
  if string.find(parent, '@', 1, true) then
    return false
  elseif redis.call('EXISTS', job .. parent, children .. parent) == 0 then
    report('dependency-gone', id, 'it waits for job ' .. parent .. ', which is gone', function()
      redis.call('ZREM', dependents .. parent, id)
      decide(id, math.floor(score_of(id, parent)), parent, 'gone')
    end)
    return true
  elseif score(dependents .. parent, id) then
    return false
  end
  report('dependency-untold', id, 'it waits for job ' .. parent .. ', whose end it would not hear of', function()
    local policy = score_of(id, parent)
    redis.call('ZADD', dependents .. parent, policy, id)
    local status, after = peek(parent, 'status', 'after')
    if status then
      outlive(parent, is_taking(policy))
    end
    if has_children(parent, status and after or 'children') then
      decide_children_later(parent)
    elseif FINAL[status] then
      decide_later(parent, status)
    end
  end)
  return true
end
