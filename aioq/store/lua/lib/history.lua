-- history: move what is known of the last run to the job's list of earlier attempts (the last ten are kept).
local function archive(id, outcome, error)
  local run = redis.call('HMGET', job .. id, 'fence', 'worker', 'started_at', 'ended_at', 'error')
  redis.call('RPUSH', attempts .. id, cjson.encode({
    fence = run[1] or '0',
    worker = run[2] or '',
    started_at = run[3] or '0',
    ended_at = run[4] or string.format('%.0f', now),
    outcome = outcome,
    error = error or run[5] or '',
  }))
  redis.call('LTRIM', attempts .. id, -10, -1)
end
