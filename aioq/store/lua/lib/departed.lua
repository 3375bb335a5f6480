-- departed: which workers have left the queue, when, why, and what they held. values/departed.py has the limits, too.
-- NEEDS: now
local MOST_DEPARTED, DEPARTED_MS, MOST_HELD = 1000, 2592000000, 20
-- ids: of jobs that it held; count: how many it held.
local function note_departed(name, reason, count, ids)
  local row = {name, reason, count}
  for i = 1, math.min(#ids, MOST_HELD) do
    row[#row + 1] = ids[i]
  end
  redis.call('ZADD', departed, now, cjson.encode(row))
  redis.call('ZREMRANGEBYRANK', departed, 0, -MOST_DEPARTED - 1)
  redis.call('ZREMRANGEBYSCORE', departed, '-inf', now - DEPARTED_MS)
  redis.call('PEXPIRE', departed, DEPARTED_MS)
end
