-- tell_group: what has become of members that are jobs of other queues.
-- KEYS: main front wake scheduled expiring job attempts groups registries
-- ARGV: expired_ttl rows...
-- SAYS: ok
-- MAKES: gone group members over sequel outbox
-- NEEDS: read doors/follow more/groups
-- A row is: group, place, how the member has ended (or open: it was requeued), and its edition: how often it was requeued
-- before. Rows may come twice, and in any order: what is older than the edition that is known is passed over.

for i = rows, #ARGV do
  local g, place, how, edition = string.match(ARGV[i], '^(%S+) (%d+) (%l+) (%d+)$')
  local known = redis.call('HGET', group .. g, 'edition.' .. place)
  local last, this = number(known, 0), number(edition, 0)
  if this > last and redis.call('EXISTS', group .. g) == 1 then
    redis.call('HSET', group .. g, 'edition.' .. place, this)
    return_to_group(g, place)
  end
  if how ~= 'open' and this >= last then
    leave_group(g, {place, how})
  end
end
flush_ends()
return {'ok'}
