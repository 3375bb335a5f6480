-- depend: jobs of other queues depend on jobs of this one.
-- KEYS: job attempts
-- ARGV: rows...
-- SAYS: ok
-- MAKES: dependents
-- NEEDS: read FINAL outlive
-- A row is: policy, id, and the dependent as <id>@<queue>; to the policy of one that takes the result, a half is added. 9: it
-- takes the result, and is decided already. Returns what each row came to: waits, the state in which the job
-- has ended if that decides it, or gone. Sent twice it answers the same.
local found = {}
for i = rows, #ARGV do
  local score, id, dependent = string.match(ARGV[i], '^([%d.]+) (%S+) (%S+)$')
  score = tonumber(score)
  local status, takes = peek(id, 'status'), score % 1 ~= 0
  if not status then
    found[#found + 1] = 'gone'
  elseif FINAL[status] and score ~= TAKER and (status == 'finished' or score >= 1) then
    if takes then
      redis.call('ZADD', dependents .. id, TAKER, dependent)
      outlive(id, true)
    end
    found[#found + 1] = status
  else
    redis.call('ZADD', dependents .. id, score, dependent)
    outlive(id, takes or score == TAKER)
    found[#found + 1] = 'waits'
  end
end
return {'ok', found}
