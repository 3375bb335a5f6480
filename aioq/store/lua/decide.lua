-- decide: what the ends of jobs of other queues mean to jobs of this one that depend on them.
-- KEYS: main front wake scheduled expiring job attempts registries
-- ARGV: expired_ttl rows...
-- SAYS: ok
-- MAKES: gone deferred open dependents undecided outbox sources
-- NEEDS: read FINAL outlive more/dependents doors/follow remove_job keep deferred
-- A row is: the dependent, the other job as <id>@<queue>, the policy, and how that one ended. waits: it has not ended, and
-- knows of the dependent. unknown: there is none, and the dependent is not to be. Each pair is decided once.
-- Returns for each row whether it is of a taker that has ended or is gone: over, else live. The other queue is to let go of it.
expired_ttl = tonumber(expired_ttl)
local found = {}
for i = rows, #ARGV do
  local id, parent, number_of_policy, status = string.match(ARGV[i], '^(%S+) (%S+) ([%d.]+) (%l+)$')
  local score = tonumber(number_of_policy)
  redis.call('ZREM', outbox, 'depend ' .. parent .. ' ' .. number_of_policy .. ' ' .. id)
  if status == 'unknown' then
    if peek(id, 'status') == 'deferred' then
      leave_deferred(id)
      redis.call('DEL', open .. id)
      remove_job(id, 'gone', (peek(id, 'after')))
    end
  elseif status ~= 'waits' then
    decide(id, math.floor(score), parent, status)
  end
  local becomes = peek(id, 'status')
  local is_taker = score % 1 ~= 0 or score == TAKER
  found[#found + 1] = is_taker and (not becomes or FINAL[becomes]) and 'over' or 'live'
end
flush_decided()
flush_kept()
flush_ends()
return {'ok', found}
