-- entries: how many entries a lane has, and whose they are.
-- NEEDS: lanes
-- How many entries of a lane wait, and how many are pending for workers.
local function sizes(name)
  local pending = redis.pcall('XPENDING', LANES[name], 'workers')
  local started = pending.err and 0 or pending[1]
  return redis.call('XLEN', LANES[name]) - started, started
end
-- The entries of a lane that are pending for a worker, `most` at the most. Without a group there are none.
local function pending_for(holder, name, most)
  local rows = redis.pcall('XPENDING', LANES[name], 'workers', '-', '+', most, holder)
  return rows.err and {} or rows
end
