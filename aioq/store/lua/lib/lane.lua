-- lane: the way into a lane. The caller sets the status; the entry is named so that the job can leave it again.
-- NEEDS: now read lanes deaths own outlive callback
local has_filled_rare = false -- whether this script has put a job into such a lane
local function enter_lane(name, id)
  local entry = mark_of(name) .. redis.call('XADD', LANES[name], '*', 'id', id)
  if RARE[name] then
    redis.call('HSET', lanes, 'announced_at', 0)
    has_filled_rare = true
  end
  return entry
end
-- A ttl counts each wait in a lane anew. The hash outlives it by expired_ttl even if no worker ever looks; the
-- deadline names the entry too, so that what is left then is not taken for another job with the same id.
-- has_own: as for keep_record.
local function start_ttl(id, entry, ttl, has_own, after)
  redis.call('ZADD', expiring, now + ttl, id .. ' ' .. entry)
  if not has_sequels(after) then
    keep_record(id, ttl + expired_ttl, has_own)
  end
  redis.call('HSET', job .. id, 'expires_at', now + ttl)
end
local function end_ttl(id, entry, has_own)
  redis.call('ZREM', expiring, id .. ' ' .. entry)
  keep_record(id, -1, has_own)
  redis.call('HDEL', job .. id, 'expires_at')
end
-- Back to the lane, for a job that exists: promote, retry, give_back, reclaim, requeue. It may have been claimed before,
-- so there is more to it than a claim would read.
-- own_ttl, deaths, after: these fields, if the caller has read them. more: what a claim is to read, see claim.lua; else all.
local function return_to_lane(id, name, own_ttl, deaths, after, more)
  if own_ttl == nil then
    own_ttl, deaths, after = peek(id, 'ttl', 'deaths', 'after')
  end
  local ttl, entry = number(own_ttl, 0), enter_lane(lane_for(deaths, is_callback(id) and 'callbacks' or name), id)
  redis.call('HSET', job .. id, 'status', 'queued', 'enqueued_at', now, 'entry', entry, 'more', more or '1')
  if ttl > 0 then
    start_ttl(id, entry, ttl, true, after)
  end
end
