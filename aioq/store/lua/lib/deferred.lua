-- deferred: a job waits for other jobs no longer. The last one takes the list of the queues that they are in along.
local has_left_deferred = false
local function leave_deferred(id)
  has_left_deferred = true
  return redis.call('ZREM', deferred, id) == 1
end
local function flush_deferred()
  if has_left_deferred and redis.call('EXISTS', deferred) == 0 then
    redis.call('DEL', sources)
  end
  has_left_deferred = false
end
