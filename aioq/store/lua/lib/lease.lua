-- lease: until when a worker is believed alive. Without any, the queue has been abandoned after 30 days.
local ABANDONED = 2592000000
-- A session is what a worker counts up whenever it cannot know what became of its claims. A claim of an older session
-- that was delayed on its way is refused: nobody would run what it takes.
local function begin_session(worker, session)
  redis.call('HSET', sessions, worker, session)
  redis.call('PEXPIRE', sessions, ABANDONED)
end
-- The first write is one that is not refused when memory is full.
local function renew(worker, lease)
  local is_known = redis.call('PEXPIRE', leases, ABANDONED)
  redis.call('ZADD', leases, now + lease, worker)
  if is_known == 0 then
    redis.call('PEXPIRE', leases, ABANDONED)
  end
end
