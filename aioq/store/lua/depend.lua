-- depend: jobs of other queues depend on jobs of this one.
-- KEYS: job attempts
-- ARGV: rows...
-- SAYS: ok
-- MAKES: dependents
-- NEEDS: read FINAL outlive
-- A row is: policy, id, and the dependent as <id>@<queue>. Returns what each row came to: waits, the state in which the job
-- has ended if that decides it, or gone. Sent twice it answers the same.
local found = {}
for i = rows, #ARGV do
  local policy, id, dependent = string.match(ARGV[i], '^(%d) (%S+) (%S+)$')
  local status = peek(id, 'status')
  if not status then
    found[#found + 1] = 'gone'
  elseif FINAL[status] and (status == 'finished' or policy ~= '0') then
    found[#found + 1] = status
  else
    redis.call('ZADD', dependents .. id, policy, dependent)
    outlive(id)
    found[#found + 1] = 'waits'
  end
end
return {'ok', found}
