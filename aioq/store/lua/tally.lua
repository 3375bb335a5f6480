-- tally: what a worker has counted is added to the statistics of the queue; and once a minute, what waits in it.
-- KEYS: main front scheduled job
-- ARGV: worker serial counted
-- SAYS: ok already
-- MAKES: minutes hours tallied
-- NEEDS: sample figures
-- serial: the number of this call, among those of the worker on this queue: it grows. The last one is remembered for as long as the
-- call may be sent again, so that the same call sent twice is counted once.
local REMEMBERED = 600000 -- ms

local last = tonumber(redis.call('GET', tallied .. worker) or '')
if last and tonumber(serial) <= last then
  return {'already'}
end
local key, name = place_of(PAGES[1])
local is_sampled = string.find(' ' .. (redis.call('HGET', key, name) or ''), ' waiting=', 1, true)
redis.call('SET', tallied .. worker, serial, 'PX', REMEMBERED)
if not is_sampled then
  for word, value in pairs(sample()) do
    if value >= 0 then
      counted = counted .. ' ' .. word .. '=' .. string.format('%.0f', value)
    end
  end
end
note(counted)
return {'ok'}
