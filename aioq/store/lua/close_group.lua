-- close_group: whoever added members to a group is done. If all members have ended, the group ends.
-- KEYS: main front wake scheduled expiring job attempts groups registries
-- ARGV: g token expired_ttl absent...
-- SAYS: ok gone
-- MAKES: gone group members over sequel outbox
-- NEEDS: now read doors/follow more/groups
-- token: as for add_members; '' for those who have not gone on in time. absent: the places of members that were not
-- enqueued after all.
local fields = redis.call('HGETALL', group .. g)
if #fields == 0 then
  return {'gone'}
end
for i = 1, #fields, 2 do
  local word = string.match(fields[i], '^fill%.(.*)$')
  if word and (word == token or token == '' and number(fields[i + 1], 0) <= now) then
    redis.call('HDEL', group .. g, fields[i])
  end
end
local rows = {}
for i = absent, #ARGV do
  rows[#rows + 1] = ARGV[i]
  rows[#rows + 1] = 'gone'
end
leave_group(g, rows)
flush_ends()
return {'ok'}
