-- lease: until when a worker is believed alive. The first write is one that is not refused when memory is full.
local function renew(worker, lease)
  redis.call('ZREM', leases, worker)
  redis.call('ZADD', leases, now + lease, worker)
  redis.call('PEXPIRE', leases, 2592000000) -- 30 days: then the queue has been abandoned
end
