-- wait: whoever listens on `channel` is told when these jobs end; those that have ended are answered at once.
-- KEYS: job
-- ARGV: channel ids...
-- SAYS: ok
-- Returns for each id: its fields if it has ended, nothing if it is gone, or how many ms it may still wait in
-- its lane before it expires (-1: no limit).
--@include now
--@include transition
--@include view

local replies = {}
for i = ids, #ARGV do
  local key = job .. ARGV[i]
  local seen = redis.call('HMGET', key, 'status', 'waiters', 'expires_at')
  if not seen[1] then
    replies[#replies + 1] = {}
  elseif FINAL[seen[1]] or is_late(seen[1], seen[3]) then
    replies[#replies + 1] = view(key)
  else
    local waiters = seen[2] or ''
    if not string.find(' ' .. waiters .. ' ', ' ' .. channel .. ' ', 1, true) then
      redis.call('HSET', key, 'waiters', waiters == '' and channel or waiters .. ' ' .. channel)
    end
    replies[#replies + 1] = seen[3] and math.max(1, tonumber(seen[3]) - now) or -1
  end
end
return {'ok', replies}
