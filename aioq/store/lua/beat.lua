-- beat: a worker is alive; its lease begins anew.
-- KEYS: leases sessions
-- ARGV: worker lease
-- SAYS: ok lapsed
-- NEEDS: now lease
-- lapsed: the lease had ended and others took (or are taking) the worker's jobs; it has a new lease.
-- Returns ms until the next lease of another worker ends (-1: there is none), the workers whose lease has ended, and
-- the clock.

lease = tonumber(lease)
local first = redis.call('ZRANGE', leases, 0, 1, 'WITHSCORES')
local mine = first[1] == worker and first[2] or first[3] == worker and first[4]
  or redis.call('ZSCORE', leases, worker)
local lost, is_late = {}, first[2] and tonumber(first[2]) < now
local is_graced = is_late and give_grace(lease)
renew(worker, lease)
if is_late and not is_graced then
  lost = redis.call('ZRANGEBYSCORE', leases, '-inf', '(' .. now, 'LIMIT', 0, 100)
end
if is_late then
  -- The first two were those whose lease had ended, or that were given a new one: the next end is looked up.
  first = redis.call('ZRANGEBYSCORE', leases, now, '+inf', 'WITHSCORES', 'LIMIT', 0, 2)
end
local others = first[2]
if first[1] == worker then
  others = first[4]
end
-- The clock was set back: since this worker's last beat, or since the last beats of all others.
local latest = now + lease
if mine and tonumber(mine) > latest or others and tonumber(others) > latest then
  shorten_leases(latest)
end
local next_end = others and math.max(0, math.min(tonumber(others), latest) - now) or -1
if not mine or mine == '0' then
  return {'lapsed', next_end, lost, now}
end
return {'ok', next_end, lost, now}
