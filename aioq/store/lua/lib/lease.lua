-- lease: until when a worker is believed alive. Without any, the queue has been abandoned after 30 days.
local ABANDONED = 2592000000
-- The lease in ms of a worker that holds jobs and has none. One that is alive renews it before it ends.
local GRACE = 10000
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
-- If nobody at all has beaten for half a lease, it was the server that was away: everyone gets a lease's time to come
-- back, before anyone is declared dead. This is asked before the caller has a lease of its own.
local function give_grace(lease)
  local first = redis.call('ZRANGE', leases, 0, 0, 'WITHSCORES')
  local last = redis.call('ZRANGE', leases, -1, -1, 'WITHSCORES')
  if first[2] and tonumber(first[2]) < now and now - (tonumber(last[2]) - lease) > lease / 2 then
    redis.call('PEXPIRE', leases, ABANDONED) -- not refused when memory is full, and then neither is what follows
    for _, name in ipairs(redis.call('ZRANGEBYSCORE', leases, 1, '+inf')) do
      redis.call('ZADD', leases, now + lease, name)
    end
    return true
  end
end
