-- beat: a worker is alive; its lease begins anew.
-- KEYS: leases
-- ARGV: worker lease
-- SAYS: ok lapsed
-- lapsed: the lease had ended and others took the worker's jobs; it has a new lease and holds nothing.
-- Returns ms until the next lease of another worker ends (-1: there is none) and the workers whose lease ended.
--@include now

lease = tonumber(lease)
local first = redis.call('ZRANGE', leases, 0, 1, 'WITHSCORES')
if first[2] and tonumber(first[2]) < now then
  -- If nobody at all has beaten for half a lease, it was the server that was away: everyone gets a lease's
  -- time to come back, before anyone is declared dead.
  local last = tonumber(redis.call('ZRANGE', leases, -1, -1, 'WITHSCORES')[2])
  if now - (last - lease) > lease / 2 then
    for _, name in ipairs(redis.call('ZRANGE', leases, 0, -1)) do
      redis.call('ZADD', leases, now + lease, name)
    end
  end
end
-- The first write is one that a server at its memory limit does not refuse; it lets an abandoned queue go.
redis.call('PEXPIRE', leases, 2592000000)
local verdict = 'ok'
if redis.call('ZADD', leases, 'XX', 'CH', now + lease, worker) == 0 and not redis.call('ZSCORE', leases, worker) then
  redis.call('ZADD', leases, now + lease, worker)
  verdict = 'lapsed'
end
local lost = {}
if first[2] and tonumber(first[2]) < now then
  lost = redis.call('ZRANGEBYSCORE', leases, '-inf', '(' .. now, 'LIMIT', 0, 100)
end
local others = first[1] == worker and first[4] or first[2]
return {verdict, others and math.max(0, tonumber(others) - now) or -1, lost}
