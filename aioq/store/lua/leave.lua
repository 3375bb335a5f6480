-- leave: a worker stops serving a queue. It keeps its lease while it still holds jobs.
-- KEYS: main front leases sessions wake job
-- ARGV: worker reason
-- SAYS: ok holding
-- MAKES: departed
-- NEEDS: wake lanes entries consumer drop_lanes departed
-- reason: why it leaves, for the list of those that have left; '': it never served the queue, and is not listed.

for _, name in ipairs(SERVED) do
  if #pending_for(worker, name, 1) > 0 then
    return {'holding'}
  end
end
if redis.call('ZREM', leases, worker) == 1 and reason ~= '' then
  note_departed(worker, reason, 0, {})
end
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
