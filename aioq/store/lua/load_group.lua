-- load_group: read the record of a group, and how many of its members have ended, in each way.
-- KEYS: job attempts
-- ARGV: g
-- SAYS: ok gone
-- MAKES: group members over

local fields = redis.call('HGETALL', group .. g)
if #fields == 0 then
  return {'gone'}
end
local counts = {'total', redis.call('LLEN', members .. g), 'over', redis.call('BITCOUNT', over .. g)}
for _, how in ipairs({'failed', 'canceled', 'stopped', 'expired', 'gone'}) do
  counts[#counts + 1] = how
  counts[#counts + 1] = redis.call('BITCOUNT', over .. g .. '/' .. how)
end
return {'ok', fields, counts}
