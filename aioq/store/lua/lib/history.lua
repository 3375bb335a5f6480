-- history: move what is known of the last run to the job's list of earlier attempts (the last ten are kept).
local function clear_run(id)
  redis.call('HDEL', job .. id, 'worker', 'started_at', 'ended_at')
end
local function archive(id, outcome, error)
  local run = redis.call('HMGET', job .. id, 'fence', 'worker', 'started_at', 'ended_at', 'error')
  if not run[3] then
    return -- it has not been started since the last one was moved
  end
  redis.call('RPUSH', attempts .. id, cjson.encode({
    fence = run[1],
    worker = run[2] or '',
    started_at = run[3],
    ended_at = run[4] or string.format('%.0f', now),
    outcome = outcome,
    error = error or run[5] or '',
  }))
  redis.call('LTRIM', attempts .. id, -10, -1)
  clear_run(id)
end
