-- wake: leave one token for one idle worker. There is never more than one, and a stale one goes by itself.
local function wake_one()
  local tokens = redis.pcall('LLEN', wake)
  if tokens == 0 then
    redis.call('RPUSH', wake, '1')
    redis.call('PEXPIRE', wake, 60000)
  elseif type(tokens) == 'table' then
    redis.call('DEL', wake) -- something else is in the way; the next token finds room
  end
end
