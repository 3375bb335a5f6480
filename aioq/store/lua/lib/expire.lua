-- expire: a queued job has waited for longer than its ttl; it is never started. It ended at its deadline and is
-- kept from then on, as every reader has seen it before anyone looked.
local function expire(id, entry, waiters, deadline)
  local ttl = math.max(1, deadline + expired_ttl - now)
  leave_lane(entry)
  redis.call('HSET', job .. id, 'status', 'expired', 'ended_at', deadline)
  redis.call('HDEL', job .. id, 'waiters', 'expires_at')
  keep(expired, id, ttl, deadline)
  set_retention(attempts .. id, ttl)
  tell(waiters, id, 'expired')
end
