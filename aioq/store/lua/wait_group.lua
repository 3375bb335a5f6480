-- wait_group: whoever listens on `channel` is told when these groups end, or when more of their members have ended.
-- KEYS: job attempts
-- ARGV: channel whats...
-- SAYS: ok
-- MAKES: group over
-- A what is: <group> for its end, or <group>/<number> until more members than these have ended, or the group has.
-- Returns for each: fields if that is so, nothing if the group is gone, or -1.

local replies = {}
for i = whats, #ARGV do
  local g, known = string.match(ARGV[i], '^([^/]+)(.*)$')
  local seen = redis.call('HMGET', group .. g, 'token', 'ended_at', 'after', 'watch')
  local token, ended_at, after, watch = unpack(seen)
  if not token then
    replies[#replies + 1] = {}
  elseif ended_at then
    replies[#replies + 1] = {'status', 'ended'}
  elseif known ~= '' and redis.call('BITCOUNT', over .. g) > tonumber(string.sub(known, 2)) then
    replies[#replies + 1] = {'status', 'changed'}
  else
    local name, words, word = 'after', after or '', '@' .. channel .. known
    if known ~= '' then
      name, words = 'watch', watch or ''
    end
    if not string.find(' ' .. words .. ' ', ' ' .. word .. ' ', 1, true) then
      redis.call('HDEL', group .. g, name) -- not refused when memory is full, so what follows is not either
      redis.call('HSET', group .. g, name, words == '' and word or words .. ' ' .. word)
    end
    replies[#replies + 1] = -1
  end
end
return {'ok', replies}
