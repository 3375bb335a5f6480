-- wake: leave one token for one idle worker. There is never more than one, and a stale one goes by itself.
local function wake_one()
  if redis.call('LLEN', wake) == 0 then
    redis.call('RPUSH', wake, '1')
    redis.call('PEXPIRE', wake, 60000)
  end
end
