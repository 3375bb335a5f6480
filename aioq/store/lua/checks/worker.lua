-- worker: who holds jobs has a lease, and no lease is for ever.
-- NEEDS: now wake lease finding
local LONGEST = 3600000 -- ms
-- For how many ms a consumer has asked for nothing; nothing if there is no such consumer.
local function idle_of(lane, name)
  local rows = redis.pcall('XINFO', 'CONSUMERS', lane, 'workers')
  for _, row in ipairs(rows.err and {} or rows) do
    if row[2] == name then
      return row[6]
    end
  end
end
function checks.consumer(lane, name)
  local ends = score(leases, name)
  if ends then
    -- 0 means that its jobs are being taken back just now.
    local idle = ends > 0 and ends + GRACE < now and idle_of(lane, name)
    if idle and now - idle > ends + GRACE then
      report('claims-without-lease', name, 'it asked for jobs ' .. math.floor((now - idle - ends) / 1000)
        .. ' s after its lease had ended')
    end
    return
  end
  local pending = redis.pcall('XPENDING', lane, 'workers', '-', '+', 1, name)
  if pending.err then
    return
  elseif pending[1] then
    report('consumer-without-lease', name, 'it holds jobs and has no lease, so nobody would take them back', function()
      redis.call('ZADD', leases, 'NX', now + GRACE, name)
      redis.call('PEXPIRE', leases, ABANDONED)
      wake_one()
    end)
    return
  end
  for _, row in ipairs(redis.call('XINFO', 'CONSUMERS', lane, 'workers')) do
    if row[2] == name then
      report('consumer-left-over', name, 'it is a consumer that holds nothing and has no lease', function()
        redis.call('XGROUP', 'DELCONSUMER', lane, 'workers', name)
      end)
    end
  end
end
function checks.lease(_, name)
  local ends = score(leases, name)
  if ends and ends > now + LONGEST then
    report('lease-too-long', name, 'its lease ends in ' .. math.floor((ends - now) / 1000)
      .. ' s, and would hide its death until then', function()
      redis.call('ZADD', leases, 'XX', now + GRACE, name)
    end)
  end
end
