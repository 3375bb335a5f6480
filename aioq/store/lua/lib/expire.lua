-- expire: a queued job has waited for longer than its ttl; it is never started.
local function expire(id, entry, waiters)
  leave_lane(entry)
  redis.call('HSET', job .. id, 'status', 'expired', 'ended_at', now)
  redis.call('HDEL', job .. id, 'waiters', 'expires_at')
  keep(expired, id, expired_ttl)
  set_retention(attempts .. id, expired_ttl)
  tell(waiters, id, 'expired')
end
