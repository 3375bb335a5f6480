-- requeue: bring jobs that ended without a result back to their queue.
-- KEYS: main front wake expiring job attempts finished failed canceled stopped expired
-- ARGV: lane reset expired_ttl nonce ids...
-- SAYS: ok
-- reset 1: the attempts and deliveries are counted anew. What is known of the last run moves to the history,
-- and the retention that it had is taken off. Returns for each id: ok, gone, or the status that does not allow it.
-- The nonce marks the call: sent twice, it must not bring back a job that has failed again in between.
--@include now
--@include read
--@include transition
--@include wake
--@include lane
--@include leave
--@include late
--@include forget
--@include history

local verdicts, moved, met = {}, false, {}
expired_ttl = tonumber(expired_ttl)

for i = ids, #ARGV do
  local id = ARGV[i]
  local seen = peek(id, 'status', 'fence', 'expires_at', 'entry', 'requeued')
  if is_late(seen[1], seen[3]) then
    leave_lane(seen[4])
    redis.call('ZREM', expiring, id .. ' ' .. (seen[4] or ''))
    seen[1] = 'expired'
  end
  if not seen[1] then
    verdicts[#verdicts + 1] = 'gone'
  elseif seen[5] == nonce then
    verdicts[#verdicts + 1] = met[id] and seen[1] or 'ok'
  elseif not allows(seen[1], 'requeue') then
    verdicts[#verdicts + 1] = seen[1]
  else
    leave_registry(id, seen[1])
    archive(id, seen[1])
    clear_run(id)
    redis.call('HDEL', job .. id, 'error', 'expires_at', 'due_at')
    redis.call('HSET', job .. id, 'requeued', nonce)
    redis.call('PERSIST', job .. id)
    redis.call('PERSIST', attempts .. id)
    if reset == '1' then
      redis.call('HSET', job .. id, 'uncounted', number(seen[2], 0))
      redis.call('HDEL', job .. id, 'deliveries', 'deaths', 'is_alone')
    end
    return_to_lane(id, lane == 'front')
    verdicts[#verdicts + 1] = 'ok'
    moved = true
  end
  met[id] = true
end
flush_lanes()
if moved then
  wake_one()
end
return {'ok', verdicts}
