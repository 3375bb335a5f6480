-- fingerprints: the failed jobs by what they have failed of, so that people see ten causes and not ten thousand jobs.
-- `alike:<fingerprint>` lists the failed jobs with one, each by when its retention is over (for ever: +inf): so it can be
-- counted at any time, whether somebody has swept or not. `fingerprint:<fingerprint>` says what is known of them.
-- `fingerprints` lists all by when they go: with the last of their jobs, or when they are muted no longer.
-- The field `fingerprint` of a failed job names the one that lists it, so that whatever takes the job out of its registry
-- takes it out there, too.
-- NEEDS: now read spare own
local MOST_FINGERPRINTS = 1000 -- of one queue; jobs with any further one are listed under OTHER
local OTHER = 'other'

local function drop_fingerprint(f)
  redis.call('ZREM', fingerprints, f)
  redis.call('DEL', fingerprint .. f, alike .. f)
end
-- When a fingerprint goes follows from its jobs, and from whether it is muted. It goes at once if nothing keeps it. The
-- keys live a little longer, as the registry of failed jobs does.
local function settle_fingerprint(f)
  local goes = tonumber(redis.call('ZRANGE', alike .. f, -1, -1, 'WITHSCORES')[2] or 0)
  local muted_until = number(redis.call('HGET', fingerprint .. f, 'muted_until'), 0)
  goes = muted_until < 0 and math.huge or math.max(goes, muted_until)
  if goes <= now then
    drop_fingerprint(f)
    return
  end
  redis.call('ZADD', fingerprints, goes == math.huge and '+inf' or goes, f)
  local life = goes == math.huge and -1 or goes - now + SPARE
  set_retention(fingerprint .. f, life)
  set_retention(alike .. f, life)
  local last = tonumber(redis.call('ZRANGE', fingerprints, -1, -1, 'WITHSCORES')[2])
  set_retention(fingerprints, last == math.huge and -1 or last - now + SPARE)
end
local function has_room(f)
  if redis.call('ZSCORE', fingerprints, f) or redis.call('ZCARD', fingerprints) < MOST_FINGERPRINTS then
    return true
  end
  local over = redis.call('ZRANGEBYSCORE', fingerprints, '-inf', now, 'LIMIT', 0, 1)[1]
  if over then
    drop_fingerprint(over)
  end
  return over ~= nil
end
-- What is told of an error in a list: its line of JSON, without what an exception could be built from.
local function head_of(id)
  local error = peek(id, 'error') or ''
  return string.sub(string.gsub(string.match(error, '^{[^\n]*') or '{}', ',"origin"."[^"]*"', ''), 1, 4096)
end
local function tell_of_failure(f, id, ended_at)
  local key = fingerprint .. f
  local last_at = number(redis.call('HGET', key, 'last_at'))
  if not last_at then
    redis.call('HSET', key, 'first_at', ended_at, 'func', f ~= OTHER and peek(id, 'func') or '', 'error', head_of(id))
  end
  if ended_at >= (last_at or 0) then
    redis.call('HSET', key, 'last_at', ended_at, 'last_id', id, 'worker', peek(id, 'worker') or '')
  end
end
-- rows: jobs that are in the registry of failed jobs now, each with when its retention is over, and when it has ended.
local function list_failures(rows)
  local found = {}
  for i = 1, #rows, 3 do
    local id, f = rows[i], peek(rows[i], 'fingerprint')
    if f then
      if not found[f] and not has_room(f) then
        redis.call('HSET', job .. id, 'fingerprint', OTHER)
        f = OTHER
      end
      local jobs = found[f] or {}
      jobs[#jobs + 1] = rows[i + 1]
      jobs[#jobs + 1] = id
      jobs.last, jobs.ended_at = id, rows[i + 2]
      if not found[f] then
        found[f] = jobs
        redis.call('ZADD', fingerprints, 'NX', '+inf', f) -- it has its room; the moment follows
      end
    end
  end
  for f, jobs in pairs(found) do
    for at = 1, #jobs, 1000 do -- unpack takes less than 8000
      redis.call('ZADD', alike .. f, unpack(jobs, at, math.min(at + 999, #jobs)))
    end
    tell_of_failure(f, jobs.last, jobs.ended_at)
    settle_fingerprint(f)
  end
end
-- A job is not in the registry of failed jobs any more.
local function unlist_failure(id)
  local f = peek(id, 'fingerprint')
  if not f then
    return
  end
  redis.call('HDEL', job .. id, 'fingerprint')
  local goes = redis.call('ZSCORE', alike .. f, id)
  if goes and redis.call('ZREM', alike .. f, id) == 1 and (goes == 'inf' or redis.call('ZCARD', alike .. f) == 0) then
    settle_fingerprint(f)
  end
end
