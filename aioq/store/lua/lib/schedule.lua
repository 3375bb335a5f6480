-- schedule: jobs that are not due yet, in the order in which they are due. A score is the ms and, behind the point, the
-- place among those of the same ms: up to 4095 jobs of one ms keep the order in which they came.
local PLACE = 1 / 4096
local last_of = {}
local function enter_schedule(id, due_at)
  local last = last_of[due_at]
  if not last then
    local found = redis.call(
      'ZRANGE', scheduled, string.format('(%.0f', due_at + 1), due_at, 'BYSCORE', 'REV', 'LIMIT', 0, 1, 'WITHSCORES'
    )
    last = tonumber(found[2])
  end
  last_of[due_at] = last and math.min(last + PLACE, due_at + 1 - PLACE) or due_at
  redis.call('ZADD', scheduled, last_of[due_at], id)
end
-- Whether a job that is due then is the next one of the schedule; a worker may wait for a later one.
local function is_next(due_at)
  local soonest = redis.call('ZRANGE', scheduled, 0, 0, 'WITHSCORES')[2]
  return not soonest or due_at < math.floor(tonumber(soonest))
end
