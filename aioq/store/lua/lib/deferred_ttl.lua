-- deferred_ttl: a job waits for others only so long. An idle worker is to notice the end of that in time, so there is a hash
-- `lanes` as long as such jobs wait: a claim that finds it looks here, too. The caller wakes a worker, which may wait for
-- something later.
-- NEEDS: now lanes
local has_deadlines = false
local function start_deferred_ttl(id, ttl)
  redis.call('ZADD', deferred .. ':until', now + ttl, id)
  redis.call('HSET', job .. id, 'expires_at', now + ttl)
  if not has_deadlines then
    redis.call('HSET', lanes, 'follows', '1')
    has_deadlines = true
  end
end
