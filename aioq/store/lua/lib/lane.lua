-- lane: the way into a lane. The caller sets the status; the entry is named so that the job can leave it again.
--@include lanes
--@include deaths
local has_quarantined = false -- whether this script has put a job into quarantine
local function add_entry(name, id)
  local entry = mark_of(name) .. redis.call('XADD', LANES[name], '*', 'id', id)
  if QUARANTINE[name] then
    redis.call('HSET', lanes, 'announced_at', 0)
    has_quarantined = true
  end
  return entry
end
local function enter_lane(id, at_front)
  if at_front then
    return add_entry('front', id)
  end
  return redis.call('XADD', main, '*', 'id', id)
end
-- A ttl counts each wait in a lane anew. The hash outlives it by expired_ttl even if no worker ever looks; the
-- deadline names the entry too, so that what is left then is not taken for another job with the same id.
local function start_ttl(id, entry, ttl)
  redis.call('ZADD', expiring, now + ttl, id .. ' ' .. entry)
  redis.call('PEXPIRE', job .. id, ttl + expired_ttl)
  redis.call('PEXPIRE', attempts .. id, ttl + expired_ttl)
  redis.call('HSET', job .. id, 'expires_at', now + ttl)
end
local function end_ttl(id, entry)
  redis.call('ZREM', expiring, id .. ' ' .. entry)
  redis.call('PERSIST', job .. id)
  redis.call('PERSIST', attempts .. id)
  redis.call('HDEL', job .. id, 'expires_at')
end
-- Back to the lane, for a job that exists: promote, retry, give_back, reclaim, requeue. It may have been claimed before,
-- so there is more to it than a claim would read.
local function return_to_lane(id, at_front)
  local seen = redis.call('HMGET', job .. id, 'ttl', 'deaths')
  local ttl, entry = number(seen[1], 0), add_entry(lane_for(seen[2], at_front), id)
  redis.call('HSET', job .. id, 'status', 'queued', 'enqueued_at', now, 'entry', entry, 'more', '1')
  if ttl > 0 then
    start_ttl(id, entry, ttl)
  end
end
