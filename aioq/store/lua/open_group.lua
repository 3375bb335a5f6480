-- open_group: store a group that has no members yet, with the jobs that are made when it ends.
-- KEYS: job groups
-- ARGV: g token kept_ms fill_ms sequels...
-- SAYS: ok taken
-- MAKES: group members over sequel
-- NEEDS: now
-- token: a word that the caller made for the group, so that the call that comes twice is told from another call.
-- A sequel is: kind, count, and so many fields and values. taken: another group has this name.
-- Groups whose retention is over are listed no longer.

local known = redis.call('HGET', group .. g, 'token')
if known == token then
  return {'ok'}
elseif known then
  return {'taken'}
end
redis.call('DEL', members .. g, over .. g)
local at = sequels
while at <= #ARGV do
  local kind, count = ARGV[at], tonumber(ARGV[at + 1])
  local key = sequel .. g .. '/' .. kind
  redis.call('DEL', key)
  redis.call('HSET', key, unpack(ARGV, at + 2, at + 1 + 2 * count))
  at = at + 2 + 2 * count
end
redis.call('HSET', group .. g, 'created_at', now, 'token', token, 'kept_ms', kept_ms, 'fill.' .. token, now + fill_ms)
for _, each in ipairs(redis.call('ZRANGEBYSCORE', groups, 0, '(' .. now, 'LIMIT', 0, 20)) do
  if redis.call('EXISTS', group .. each) == 0 then
    redis.call('ZREM', groups, each)
  end
end
redis.call('ZADD', groups, -now - fill_ms, g) -- see more/groups.lua
redis.call('PERSIST', groups)
return {'ok'}
