-- lease: until when a worker is believed alive. The first write is one that is not refused when memory is full.
-- A session is what a worker counts up whenever it cannot know what became of its claims. A claim of an older session
-- that was delayed on its way is refused: nobody would run what it takes.
local function begin_session(worker, session)
  redis.call('HSET', sessions, worker, session)
  redis.call('PEXPIRE', sessions, 2592000000)
end
local function renew(worker, lease)
  redis.call('ZREM', leases, worker)
  redis.call('ZADD', leases, now + lease, worker)
  redis.call('PEXPIRE', leases, 2592000000) -- 30 days: then the queue has been abandoned
end
