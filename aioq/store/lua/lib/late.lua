-- late: a queued job that is past its ttl has expired, whether a worker has looked or not; so has a deferred one that is
-- past its deferred_ttl.
-- NEEDS: now read
local function is_late(status, expires_at)
  return (status == 'queued' or status == 'deferred') and expires_at and number(expires_at, math.huge) <= now
end
