-- count: how many jobs there are in each state, without what is past its time but not swept yet.
-- KEYS: main front scheduled expiring leases job finished failed canceled stopped expired
-- ARGV: expired_ttl
-- SAYS: ok
-- Returns queued, scheduled, started, finished, failed, canceled, stopped, expired, workers.
--@include now
--@include usual
--@include entries

local function in_registry(key)
  local usual = redis.call('ZCOUNT', key .. ':usual', now - usual_life(key) + 1, '+inf')
  return usual + redis.call('ZCARD', key) - redis.call('ZCOUNT', key .. ':until', '-inf', now)
end

local queued, started = 0, 0
for _, name in ipairs(SERVED) do
  local waiting, running = sizes(name)
  queued, started = queued + waiting, started + running
end
local late = redis.call('ZCOUNT', expiring, '-inf', now)
local forgotten = redis.call('ZCOUNT', expiring, '-inf', now - expired_ttl)
return {
  'ok',
  math.max(0, queued - late),
  redis.call('ZCARD', scheduled),
  started,
  in_registry(finished),
  in_registry(failed),
  in_registry(canceled),
  in_registry(stopped),
  in_registry(expired) + late - forgotten,
  redis.call('ZCOUNT', leases, now, '+inf'),
}
