-- lease: until when a worker is believed alive. Without any, the queue has been abandoned after 30 days.
-- NEEDS: now
local ABANDONED = 2592000000
-- The lease in ms of a worker that holds jobs and has none. One that is alive renews it before it ends.
local GRACE = 10000
-- A session is what a worker counts up whenever it cannot know what became of its claims. A claim of an older session
-- that was delayed on its way is refused: nobody would run what it takes.
local function begin_session(worker, session)
  redis.call('HSET', sessions, worker, session)
  redis.call('PEXPIRE', sessions, ABANDONED)
end
-- A beat is what an idle worker costs, so it writes no more than it must: the key's own life is renewed for a new worker
-- and in the first minute of each hour.
local HOUR, MINUTE = 3600000, 60000
local function renew(worker, lease)
  local added = redis.pcall('ZADD', leases, now + lease, worker)
  if type(added) == 'table' then
    -- Refused: memory is full. After a write that is not refused then, others are not either.
    redis.call('PEXPIRE', leases, ABANDONED)
    added = redis.call('ZADD', leases, now + lease, worker)
  end
  if added == 1 or now % HOUR < MINUTE then
    redis.call('PEXPIRE', leases, ABANDONED)
  end
end
-- No lease ends later than one lease from now, unless it began before the clock was set back. Such a lease would hide the
-- death of its worker for as long as the clock was set back, so it is cut to what a beat of this moment would give.
local function shorten_leases(latest)
  redis.call('PEXPIRE', leases, ABANDONED) -- not refused when memory is full, and then neither is what follows
  for _, name in ipairs(redis.call('ZRANGEBYSCORE', leases, '(' .. latest, '+inf')) do
    redis.call('ZADD', leases, latest, name)
  end
end
-- If nobody at all has beaten for this part of a lease, it was the server that was away: everyone gets a lease's time to
-- come back, before anyone is declared dead. This is asked before the caller has a lease of its own. The part must be
-- longer than a worker takes between two beats, on a busy machine, too: else a dead worker would be given a lease. It
-- must be short enough for a shorter silence to end no lease (see LEASE_MS in worker/heartbeat.py).
local SILENCE = 0.57
local function give_grace(lease)
  local first = redis.call('ZRANGE', leases, 0, 0, 'WITHSCORES')
  local last = redis.call('ZRANGE', leases, -1, -1, 'WITHSCORES')
  if first[2] and tonumber(first[2]) < now and now - (tonumber(last[2]) - lease) > SILENCE * lease then
    redis.call('PEXPIRE', leases, ABANDONED) -- not refused when memory is full, and then neither is what follows
    for _, name in ipairs(redis.call('ZRANGEBYSCORE', leases, 1, '+inf')) do
      redis.call('ZADD', leases, now + lease, name)
    end
    return true
  end
end
