-- claim: hand up to `limit` jobs to a worker: promote what is due, expire what has waited too long, start the rest.
-- KEYS: main front wake scheduled expiring paused suspended leases sessions job attempts expired
-- ARGV: worker session limit chunk expired_ttl
-- SAYS: ok paused missing
-- MAKES: gone
-- ok brings: the clock, ms until the next scheduled job is due (-1: none), then id, fence and fields of each
-- job: func, data and created_at of one that is nothing but a call, else names and values of all of them.
-- missing: the worker has no lease here, or the call is of a session that is over; it must join (again) first.
--@include now
--@include read
--@include transition
--@include wake
--@include lane
--@include leave
--@include usual
--@include keep
--@include follow
--@include tombstone
--@include remove_job
--@include end_job
--@include expire

if redis.call('EXISTS', paused, suspended) > 0 then
  return {'paused'}
end
if not redis.call('ZSCORE', leases, worker) or redis.call('HGET', sessions, worker) ~= session then
  return {'missing'}
end
expired_ttl, limit = tonumber(expired_ttl), tonumber(limit)

-- Takes what is due out of an index. This comes first: it is not refused when memory is full, so that a queue can
-- be drained then.
local function pop_due(index)
  local due = redis.call('ZRANGEBYSCORE', index, '-inf', '(' .. (now + 1), 'LIMIT', 0, chunk)
  if #due > 0 then
    redis.call('ZREM', index, unpack(due))
  end
  return due
end

local function promote()
  for _, id in ipairs(pop_due(scheduled)) do
    local seen = peek(id, 'status', 'front')
    if allows(seen[1], 'promote') then
      return_to_lane(id, seen[2])
    end
  end
end

local function expire_late()
  for _, row in ipairs(pop_due(expiring)) do
    local id, entry = string.match(row, '^(%S+) (%S+)$')
    local seen = id and peek(id, 'status', 'entry', 'after', 'expires_at') or {}
    if seen[2] ~= entry then
      leave_lane(entry) -- the job has run out by itself; what has its id now is another one
    elseif allows(seen[1], 'expire') then
      expire(id, entry, seen[3], number(seen[4], now))
    end
  end
end

local claims = {}

-- Most jobs are nothing but a call, and no field says that there is more to them: they have no options, and have not
-- been claimed before. Of these three fields are read, of the others all: for most jobs that is a third of what this
-- script takes. A field that is not there costs more than one that is, since all are looked through for it.
local function start(id, entry)
  local seen = {}
  if id then
    seen = peek(id, 'status', 'entry', 'more', 'func', 'data', 'created_at')
  end
  if not allows(seen[1], 'claim') or seen[2] ~= entry then
    leave_lane(entry)
    return
  end
  local key = job .. id
  local fence, fields = 1, {seen[4], seen[5], seen[6]}
  if seen[3] then
    local rest = redis.call('HMGET', key, 'fence', 'expires_at', 'after')
    if rest[2] then
      end_ttl(id, entry)
      local deadline = number(rest[2], math.huge)
      if deadline <= now then
        expire(id, entry, rest[3], deadline)
        return
      end
    end
    fence, fields = number(rest[1], 0) + 1, redis.call('HGETALL', key)
  end
  redis.call('HSET', key, 'status', 'started', 'fence', fence, 'started_at', now, 'worker', worker)
  claims[#claims + 1] = id
  claims[#claims + 1] = fence
  claims[#claims + 1] = fields
end

local function read(lane, mark, count)
  local reply = redis.pcall('XREADGROUP', 'GROUP', 'workers', worker, 'COUNT', count, 'STREAMS', lane, '>')
  if reply and reply.err then
    -- The lane was dropped when it was empty and nobody served it, and an enqueue has made it again. Any other error
    -- comes again, and is the caller's.
    if string.find(reply.err, 'NOGROUP', 1, true) then
      redis.call('XGROUP', 'CREATE', lane, 'workers', '0')
    end
    reply = redis.call('XREADGROUP', 'GROUP', 'workers', worker, 'COUNT', count, 'STREAMS', lane, '>')
  end
  if not reply then
    return 0
  end
  for _, entry in ipairs(reply[1][2]) do
    start(id_of(entry), mark .. entry[1])
  end
  return #reply[1][2]
end

promote()
expire_late()
flush_lanes() -- before the lanes are read, so that what has expired takes nobody's place
local taken = 0
for _, lane in ipairs({{front, 'front/'}, {main, ''}}) do
  if taken < limit and redis.call('XLEN', lane[1]) > 0 then
    taken = taken + read(lane[1], lane[2], limit - taken)
  end
end
flush_lanes()
flush_kept()
flush_mail()

local next_due, soonest = -1, redis.call('ZRANGE', scheduled, 0, 0, 'WITHSCORES')[2]
if soonest then
  next_due = math.max(0, math.floor(tonumber(soonest)) - now)
end
-- A worker that is full now may not look again for long: another one sees to what is left, or soon due.
if taken >= limit then
  wake_one()
end
return {'ok', now, next_due, claims}
