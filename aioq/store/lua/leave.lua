-- leave: a worker stops serving a queue. It keeps its lease while it still holds jobs.
-- KEYS: main front leases sessions wake
-- ARGV: worker
-- SAYS: ok holding
--@include wake

for _, lane in ipairs({main, front}) do
  local pending = redis.pcall('XPENDING', lane, 'workers', '-', '+', 1, worker)
  if not pending.err and #pending > 0 then
    return {'holding'}
  end
end
redis.call('ZREM', leases, worker)
redis.call('HDEL', sessions, worker)
for _, lane in ipairs({main, front}) do
  if redis.call('EXISTS', lane) == 1 then
    redis.pcall('XGROUP', 'DELCONSUMER', lane, 'workers', worker)
    -- An empty lane is dropped with the last worker; whoever comes next makes it again.
    if redis.call('ZCARD', leases) == 0 and redis.call('XLEN', lane) == 0 then
      redis.call('DEL', lane)
    end
  end
end
if redis.call('ZCARD', leases) > 0 then
  wake_one()
end
return {'ok'}
