-- leave: a worker stops serving a queue. It keeps its lease while it still holds jobs.
-- KEYS: main front leases sessions wake job
-- ARGV: worker
-- SAYS: ok holding
-- NEEDS: wake lanes entries consumer drop_lanes

for _, name in ipairs(SERVED) do
  if #pending_for(worker, name, 1) > 0 then
    return {'holding'}
  end
end
redis.call('ZREM', leases, worker)
redis.call('HDEL', sessions, worker)
remove_consumer(worker)
for _, name in ipairs(SERVED) do
  local lane = LANES[name]
  -- An empty lane is dropped with the last worker; whoever comes next makes it again.
  if redis.call('ZCARD', leases) == 0 and redis.call('XLEN', lane) == 0 then
    redis.call('DEL', lane)
  end
end
drop_rare_lanes()
if redis.call('ZCARD', leases) > 0 then
  wake_one()
end
return {'ok'}
