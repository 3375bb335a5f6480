-- sample: how much waits, runs and is scheduled in a queue at this moment. Callbacks are not counted.
-- NEEDS: now lanes entries
-- The value behind a name in a flat reply.
local function value_in(row, wanted)
  for i = 1, #row, 2 do
    if row[i] == wanted then
      return row[i + 1]
    end
  end
end
-- The ms for which the next entry of a lane has waited; -1 if none waits.
local function age_in(name)
  local groups, last = redis.pcall('XINFO', 'GROUPS', LANES[name]), '0-0'
  for _, row in ipairs(groups.err and {} or groups) do
    if value_in(row, 'name') == 'workers' then
      last = value_in(row, 'last-delivered-id')
    end
  end
  local found = redis.call('XRANGE', LANES[name], '(' .. last, '+', 'COUNT', 1)[1]
  return found and math.max(0, now - tonumber(string.match(found[1], '^%d+'))) or -1
end
-- How many entries a lane has ever got; -1 if the server does not tell, as Redis 6.
local function added_to(name)
  local facts = redis.pcall('XINFO', 'STREAM', LANES[name])
  return facts.err and 0 or value_in(facts, 'entries-added') or -1
end
local function sample()
  local found = {waiting = 0, running = 0, age_ms = -1, added = 0}
  for _, name in ipairs(SERVED) do
    if name ~= 'callbacks' then
      local waiting, running = sizes(name)
      found.waiting, found.running = found.waiting + waiting, found.running + running
      found.age_ms = waiting > 0 and math.max(found.age_ms, age_in(name)) or found.age_ms
      local added = added_to(name)
      found.added = math.min(found.added, added) < 0 and -1 or found.added + added
    end
  end
  found.scheduled = redis.call('ZCARD', scheduled)
  return found
end
