-- history: move what is known of the last run to the job's list of earlier attempts (the last ten are kept).
-- NEEDS: now read
local function clear_run(id)
  redis.call('HDEL', job .. id, 'worker', 'started_at', 'ended_at')
end
-- value: the result of a run that finished; it stands behind the row's JSON, on a line of its own.
local function archive(id, outcome, error, value)
  local fence, worker, started_at, ended_at, last_error = peek(id, 'fence', 'worker', 'started_at', 'ended_at', 'error')
  if not started_at then
    return -- it has not been started since the last one was moved
  end
  local row = cjson.encode({
    fence = fence,
    worker = worker or '',
    started_at = started_at,
    ended_at = ended_at or string.format('%.0f', now),
    outcome = outcome,
    error = error or last_error or '',
  })
  if value then
    row = row .. '\n' .. value
  end
  if redis.call('TYPE', attempts .. id).ok ~= 'list' then
    redis.call('DEL', attempts .. id) -- nothing, or something else that is in the way
  end
  redis.call('RPUSH', attempts .. id, row)
  redis.call('LTRIM', attempts .. id, -10, -1)
  clear_run(id)
end
-- Counts a field up: what kinds of runs a job has had.
local function count_up(id, field)
  local count = redis.pcall('HINCRBY', job .. id, field, 1)
  if type(count) == 'number' then
    return count
  end
  redis.call('HSET', job .. id, field, 1) -- it was no number
  return 1
end
