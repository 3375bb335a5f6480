-- save_meta: write and remove single meta values; values that are not named stay as they are.
-- KEYS: job attempts
-- ARGV: id fence call repeat_ms count changes...
-- SAYS: ok stale gone
-- MAKES: done
-- NEEDS: receipt
-- fence '' means: not from within a run. changes: count fields with their values, then the fields to remove.

local sent_before = receipt()
if sent_before then
  return sent_before
end
local status, last_fence = unpack(redis.call('HMGET', job .. id, 'status', 'fence'))
if not status then
  return {'gone'}
end
if fence ~= '' and (last_fence ~= fence or status ~= 'started') then
  return {'stale'}
end
if #ARGV < changes then
  return {'ok'}
end
local removed = changes + 2 * tonumber(count)
for at = changes, removed - 1, 2 do
  redis.call('HSET', job .. id, ARGV[at], ARGV[at + 1], 'more', '1')
end
for at = removed, #ARGV do
  redis.call('HDEL', job .. id, ARGV[at])
end
return keep_receipt({'ok'})
