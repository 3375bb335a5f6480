-- sweep: take ids whose retention has passed out of the registries (the jobs themselves are gone already).
-- KEYS: finished failed canceled stopped expired
-- ARGV: chunk
-- SAYS: ok
-- Returns how many were taken out; a full chunk means that there may be more.
--@include now

local swept = 0
for _, registry in ipairs({finished, failed, canceled, stopped, expired}) do
  local over = redis.call('ZRANGEBYSCORE', registry .. ':until', '-inf', now, 'LIMIT', 0, chunk)
  if #over > 0 then
    redis.call('ZREM', registry, unpack(over))
    redis.call('ZREM', registry .. ':until', unpack(over))
    swept = math.max(swept, #over)
  end
end
return {'ok', swept}
