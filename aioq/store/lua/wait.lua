-- wait: whoever listens on `channel` is told when these jobs end; those that have ended are answered at once.
-- KEYS: job attempts
-- ARGV: channel ids...
-- SAYS: ok
-- NEEDS: now read FINAL late view
-- Returns for each id: its fields if it has ended, nothing if it is gone, or after how many ms to ask again
-- (-1: not at all): a job with a ttl may expire while no worker looks, and then nobody tells of it.

local function next_look(status, expires_at, ttl, due_at)
  if expires_at then
    return math.max(1, number(expires_at, now) - now)
  end
  ttl = number(ttl, 0)
  if ttl <= 0 then
    return -1
  end
  local begins_at = status == 'scheduled' and math.max(now, number(due_at, now)) or now
  return math.max(1000, begins_at + ttl - now)
end

local replies = {}
for i = ids, #ARGV do
  local key = job .. ARGV[i]
  local status, after, expires_at, ttl, due_at = peek(ARGV[i], 'status', 'after', 'expires_at', 'ttl', 'due_at')
  if not status then
    replies[#replies + 1] = {}
  elseif FINAL[status] or is_late(status, expires_at) then
    replies[#replies + 1] = view(key)
  else
    local word = '@' .. channel
    after = after or ''
    if not string.find(' ' .. after .. ' ', ' ' .. word .. ' ', 1, true) then
      redis.call('HDEL', key, 'after') -- not refused when memory is full, so what follows is not either
      redis.call('HSET', key, 'after', after == '' and word or after .. ' ' .. word)
    end
    replies[#replies + 1] = next_look(status, expires_at, ttl, due_at)
  end
end
return {'ok', replies}
