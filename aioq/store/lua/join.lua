-- join: a worker begins to serve a queue.
-- KEYS: main front leases sessions job
-- ARGV: worker lease session
-- SAYS: ok
-- NEEDS: now lanes lease
-- Consumers that hold jobs but have no lease (it was lost with the server's data) get one, so that they are
-- reclaimed when it ends.

give_grace(tonumber(lease)) -- else its fresh lease would hide that nobody could beat
renew(worker, lease)
begin_session(worker, session)
for _, name in ipairs(SERVED) do
  local lane = LANES[name]
  if not RARE[name] or redis.call('EXISTS', lane) == 1 then
    local made = redis.pcall('XGROUP', 'CREATE', lane, 'workers', '0', 'MKSTREAM')
    if made.err and not string.find(made.err, 'BUSYGROUP') then
      return made
    end
    for _, row in ipairs(redis.call('XINFO', 'CONSUMERS', lane, 'workers')) do
      local consumer = {}
      for i = 1, #row, 2 do
        consumer[row[i]] = row[i + 1]
      end
      if consumer.pending > 0 then
        redis.call('ZADD', leases, 'NX', now + lease, consumer.name)
      else
        -- Nothing is pending, so nothing can be lost with the consumer; it comes back if it still lives.
        redis.call('XGROUP', 'DELCONSUMER', lane, 'workers', consumer.name)
      end
    end
  end
end
return {'ok'}
