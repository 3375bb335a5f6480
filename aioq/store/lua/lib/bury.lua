-- bury: put a job into the failed registry; with a retention (ms) of 0 it is deleted, and only waiters hear of it.
local function bury(id, error, waiters, ttl)
  tell(waiters, id, 'failed', error, ttl == 0)
  if ttl == 0 then
    redis.call('DEL', job .. id, attempts .. id)
    return
  end
  redis.call('HSET', job .. id, 'status', 'failed', 'ended_at', now, 'error', error)
  redis.call('HDEL', job .. id, 'waiters')
  keep(failed, id, ttl)
  set_retention(attempts .. id, ttl)
end
