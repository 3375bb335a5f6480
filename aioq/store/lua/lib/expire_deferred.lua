-- expire_deferred: jobs have waited for others for longer than their deferred_ttl. They end now, as of their deadlines.
-- NEEDS: now read late deferred end_wait
-- Returns whether there were some.
local function expire_deferred(limit)
  local has_expired = false
  for _, id in ipairs(redis.call('ZRANGEBYSCORE', deferred .. ':until', '-inf', now, 'LIMIT', 0, limit)) do
    local status, expires_at, after = peek(id, 'status', 'expires_at', 'after')
    redis.call('ZREM', deferred .. ':until', id)
    if status == 'deferred' and is_late(status, expires_at) then
      end_wait(id, expires_at, after)
      has_expired = true
    end
  end
  flush_deferred()
  return has_expired
end
