-- depend: jobs of other queues depend on jobs of this one.
-- KEYS: job attempts
-- ARGV: rows...
-- SAYS: ok
-- MAKES: dependents ended_by children
-- NEEDS: read FINAL outlive children ended_by edge_scores
-- A row is: policy, id, and the dependent as <id>@<queue>; to the policy of one that takes the result, a half is added. 9: it
-- takes the result, and is decided already. Returns what each row came to: waits, the state in which the job
-- has ended if that decides it, or gone. Behind a state may stand the child of the job that has ended so. Sent twice it
-- answers the same.
local found = {}
local function look(id, score, dependent)
  local status, after = peek(id, 'status', 'after')
  local takes = is_taking(score) or score == TAKER
  local is_parent = has_children(id, status and after or 'children') -- its record may have gone since it has finished
  local ended_as, by = FINAL[status] and (status == 'finished' or score >= 1) and status, id
  if not status and (takes or not is_parent) then
    return 'gone'
  elseif is_parent then
    local lowest
    ended_as, lowest, by = judge_children(id)
    ended_as = lowest and score >= lowest and ended_as
    ended_as = ended_as == 'gone' and 'canceled' or ended_as -- a child is gone, and not the job that is asked for
  end
  if not ended_as or score == TAKER then
    redis.call('ZADD', dependents .. id, score, dependent)
    if takes or not is_parent then
      outlive(id, takes)
    end
    return 'waits'
  end
  if takes then
    redis.call('ZADD', dependents .. id, TAKER, dependent)
    outlive(id, true)
  end
  if ended_as ~= 'finished' and score >= 2 then
    remember(by, {score, dependent})
  end
  return by == id and ended_as or ended_as .. ' ' .. by
end
for i = rows, #ARGV do
  local score, id, dependent = string.match(ARGV[i], '^([%d.]+) (%S+) (%S+)$')
  found[#found + 1] = look(id, tonumber(score), dependent)
end
return {'ok', found}
