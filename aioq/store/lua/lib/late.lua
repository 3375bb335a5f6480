-- late: a queued job that is past its ttl has expired, whether a worker has looked or not.
-- NEEDS: now read
local function is_late(status, expires_at)
  return status == 'queued' and expires_at and number(expires_at, math.huge) <= now
end
