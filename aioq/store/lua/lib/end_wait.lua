-- end_wait: a job has waited for others for longer than its deferred_ttl. As with a ttl, it ended at its deadline.
-- NEEDS: now read deferred doors/end_job
local function end_wait(id, expires_at, after)
  local deadline = number(expires_at, now)
  leave_deferred(id, expires_at)
  redis.call('DEL', open .. id)
  end_job(expired, id, 'expired', math.max(1, deadline + expired_ttl - now), after, true, deadline)
end
