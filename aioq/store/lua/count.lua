-- count: how many jobs there are in each state, without what is past its time but not swept yet.
-- KEYS: main front scheduled deferred expiring leases job registries
-- ARGV: expired_ttl
-- SAYS: ok
-- NEEDS: now REGISTRIES lanes entries usual
-- Returns each state and its number, the number of workers that have a lease, and that of callbacks that wait or run; the
-- states do not count these.

local function in_registry(key)
  local usual = redis.call('ZCOUNT', key .. ':usual', now - usual_life(key) + 1, '+inf')
  return usual + redis.call('ZCARD', key) - redis.call('ZCOUNT', key .. ':until', '-inf', now)
end

local found = {}
local function tell(name, number)
  found[#found + 1] = name
  found[#found + 1] = number
end

local queued, started, callbacks = 0, 0, 0
for _, name in ipairs(SERVED) do
  local waiting, running = sizes(name)
  if name == 'callbacks' then
    callbacks = waiting + running
  else
    queued, started = queued + waiting, started + running
  end
end
local late = redis.call('ZCOUNT', expiring, '-inf', now)
local forgotten = redis.call('ZCOUNT', expiring, '-inf', now - expired_ttl)
local unseen = late - forgotten + redis.call('ZCOUNT', deferred .. ':until', '(' .. (now - expired_ttl), now)
tell('queued', math.max(0, queued - late))
tell('scheduled', redis.call('ZCARD', scheduled))
tell('deferred', redis.call('ZCARD', deferred) - redis.call('ZCOUNT', deferred .. ':until', '-inf', now))
tell('started', started)
for status, registry in pairs(REGISTRIES) do
  tell(status, in_registry(registry) + (registry == expired and unseen or 0))
end
return {'ok', found, redis.call('ZCOUNT', leases, now, '+inf'), callbacks}
