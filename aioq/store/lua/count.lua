-- count: how many jobs there are in each state, without what is past its time but not swept yet.
-- KEYS: main front scheduled expiring leases job finished failed canceled stopped expired
-- ARGV: expired_ttl
-- SAYS: ok
-- Returns queued, scheduled, started, finished, failed, canceled, stopped, expired, workers.
--@include now
--@include usual

local function in_lane(lane)
  local pending = redis.pcall('XPENDING', lane, 'workers')
  local started = pending.err and 0 or pending[1]
  return redis.call('XLEN', lane) - started, started
end
local function in_registry(key)
  local usual = redis.call('ZCOUNT', key .. ':usual', now - usual_life(key) + 1, '+inf')
  return usual + redis.call('ZCARD', key) - redis.call('ZCOUNT', key .. ':until', '-inf', now)
end

local queued_main, started_main = in_lane(main)
local queued_front, started_front = in_lane(front)
local late = redis.call('ZCOUNT', expiring, '-inf', now)
local forgotten = redis.call('ZCOUNT', expiring, '-inf', now - expired_ttl)
return {
  'ok',
  math.max(0, queued_main + queued_front - late),
  redis.call('ZCARD', scheduled),
  started_main + started_front,
  in_registry(finished),
  in_registry(failed),
  in_registry(canceled),
  in_registry(stopped),
  in_registry(expired) + late - forgotten,
  redis.call('ZCOUNT', leases, now, '+inf'),
}
