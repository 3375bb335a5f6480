-- let_go: jobs of other queues that took results of jobs of this one have ended.
-- KEYS: wake job attempts registries
-- ARGV: rows...
-- SAYS: ok
-- MAKES: main front dependents ended_by outbox
-- NEEDS: more/takers
-- A row is: id, and the taker as <id>@<queue>. Sent twice it does no harm.
for i = rows, #ARGV do
  local id, taker = string.match(ARGV[i], '^(%S+) (%S+)$')
  let_go(id, taker)
end
return {'ok'}
