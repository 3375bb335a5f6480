-- now: the clock of a test's namespace in ms: the server's clock, and behind it what the test has moved it on.
local function read_clock()
  local namespace = string.match(KEYS[1], '^(aioq%-test:[^{}]+):{')
  if not namespace then
    error('this script goes by the clock of a test, and refuses the key ' .. tostring(KEYS[1]), 0)
  end
  local t = redis.call('TIME')
  local moved = tonumber(redis.call('GET', namespace .. ':clock') or 0)
  return t[1] * 1000 + math.floor(t[2] / 1000) + moved, t[2] % 1000
end
local now, now_us = read_clock() -- the ms, and the microseconds since it began
