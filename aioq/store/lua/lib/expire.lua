-- expire: a queued job has waited for longer than its ttl; it is never started. It ended at its deadline and is
-- kept from then on, as every reader has seen it before anyone looked.
-- NEEDS: now leave doors/end_job
local function expire(id, entry, after, deadline)
  leave_lane(entry)
  redis.call('HDEL', job .. id, 'expires_at')
  end_job(expired, id, 'expired', math.max(1, deadline + expired_ttl - now), after, true, deadline)
end
