-- deferred: jobs wait for other jobs no longer. The last one takes the list of the queues that they are in along.
-- A job with a `deferred_ttl` stands in `deferred:until` too, by the end of that, and its record says it in `expires_at`.
local no_longer_deferred = {}
local function leave_deferred(id, expires_at)
  no_longer_deferred[#no_longer_deferred + 1] = id
  if expires_at then
    redis.call('ZREM', deferred .. ':until', id)
    redis.call('HDEL', job .. id, 'expires_at')
  end
end
local function flush_deferred()
  if #no_longer_deferred > 0 then
    redis.call('ZREM', deferred, unpack(no_longer_deferred))
    no_longer_deferred = {}
    if redis.call('EXISTS', deferred) == 0 then
      redis.call('DEL', sources)
    end
  end
end
