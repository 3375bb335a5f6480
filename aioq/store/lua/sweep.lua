-- sweep: take ids whose retention has passed out of the registries (the jobs themselves are gone already).
-- KEYS: job attempts finished failed canceled stopped expired
-- ARGV: chunk
-- SAYS: ok
-- Returns how many were taken out; a full chunk means that there may be more.
--@include now
--@include forget

local STRAYS = 20 -- members of each registry that are looked at: over time, all of them
local swept = 0
for _, registry in ipairs({finished, failed, canceled, stopped, expired}) do
  local over = redis.call('ZRANGEBYSCORE', registry .. ':until', '-inf', now, 'LIMIT', 0, chunk)
  if #over > 0 then
    redis.call('ZREM', registry, unpack(over))
    redis.call('ZREM', registry .. ':until', unpack(over))
    swept = math.max(swept, #over)
  end
end
-- A job that was evicted, or removed by hand, has left its id behind.
for status, registry in pairs(REGISTRIES) do
  for _, id in ipairs(redis.call('ZRANDMEMBER', registry, STRAYS)) do
    if redis.call('EXISTS', job .. id) == 0 then
      leave_registry(id, status)
    end
  end
end
return {'ok', swept}
