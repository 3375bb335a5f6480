-- add_members: list jobs as members of a group, before they are enqueued. The group does not end before `close_group`.
-- KEYS: main front wake scheduled expiring job attempts groups registries
-- ARGV: g token fill_ms expired_ttl call repeat_ms ids...
-- SAYS: ok gone
-- MAKES: gone done group members over sequel outbox
-- NEEDS: now receipt more/groups
-- token: of whoever adds them. fill_ms: after this time without a further call, they are taken to be all.
-- ok brings the place of the first one in the group. gone: there is no such group.
local MOST = 1000 -- unpack takes less than 8000

local sent_before = receipt()
if sent_before then
  return sent_before
end
if redis.call('EXISTS', group .. g) == 0 then
  return {'gone'}
end
local first = redis.call('LLEN', members .. g)
reopen(g)
redis.call('HSET', group .. g, 'fill.' .. token, now + fill_ms)
for at = ids, #ARGV, MOST do
  redis.call('RPUSH', members .. g, unpack(ARGV, at, math.min(at + MOST - 1, #ARGV)))
end
end_if_over(g) -- somebody adds members, so this lists only until when
return keep_receipt({'ok', first})
