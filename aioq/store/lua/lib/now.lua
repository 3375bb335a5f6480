-- now: the server's clock in ms; the only clock that decides anything.
local function read_clock()
  local t = redis.call('TIME')
  return t[1] * 1000 + math.floor(t[2] / 1000), t[2] % 1000
end
local now, now_us = read_clock() -- the ms, and the microseconds since it began
