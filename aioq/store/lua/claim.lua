-- claim: hand up to `limit` jobs to a worker: promote what is due, expire what has waited too long, start the rest.
-- KEYS: main front wake scheduled expiring paused suspended leases sessions job attempts expired
-- ARGV: worker session limit held suspects slots chunk expired_ttl
-- SAYS: ok paused missing
-- MAKES: gone
-- NEEDS: now read wake lanes
-- held: how many jobs the worker has already, of all its queues; suspects: how many of these were on dead workers.
-- slots: how many jobs it runs at a time.
-- ok brings: the clock, ms until the next scheduled job is due (-1: none), then id, fence and fields of each
-- job: func, data and created_at of one that is nothing but a call, else names and values of all of them.
-- If there is a lane that is there only sometimes: whether the worker is reserved for a job that must run alone (1), so that it may
-- claim nothing more, of any queue, until this queue says otherwise; and how many of the jobs, the first, are suspects.
-- If jobs have expired: how many.
-- missing: the worker has no lease here, or the call is of a session that is over; it must join (again) first.

local claims, taken = {}, 0
expired_ttl, limit, held, slots = tonumber(expired_ttl), tonumber(limit), tonumber(held), tonumber(slots)

-- Most claims find nothing due, no quarantine, and jobs that are nothing but a call. What the others take stands in another
-- function, which is called when it is needed: each function and each table that a script makes costs the server a tenth
-- of a microsecond, and more.
local function make_others()
  -- MAKES: undecided outbox failed deferred open sources
  -- NEEDS: USUAL allows entries lane lane_of leave lease keep doors/follow doors/end_job expire expire_deferred quarantine drop_lanes decide_rest

  local function promote(ids)
    for _, id in ipairs(ids) do
      local status, lane = peek(id, 'status', 'lane')
      if allows(status, 'promote') then
        return_to_lane(id, lane)
      end
    end
  end

  local expired_count = 0

  local function expire_late(rows)
    for _, row in ipairs(rows) do
      local id, entry = string.match(row, '^(%S+) (%S+)$')
      local status, known, after, expires_at
      if id then
        status, known, after, expires_at = peek(id, 'status', 'entry', 'after', 'expires_at')
      end
      if known ~= entry then
        leave_lane(entry) -- the job has run out by itself; what has its id now is another one
      elseif allows(status, 'expire') then
        expire(id, entry, after, number(expires_at, now))
        expired_count = expired_count + 1
      end
    end
  end

  -- The group of the lane was destroyed and made anew, so entries of jobs that run are handed out again. Each stays
  -- pending for the worker that runs the job. If that one has no lease, it gets one that ends unless it is alive.
  local function keep_with_holder(id, entry)
    local holder = peek(id, 'worker')
    local name, bare = lane_of(entry)
    if not holder then
      return -- a damaged record, which the doctor sees to
    end
    if holder ~= worker then
      redis.call('XCLAIM', LANES[name], 'workers', holder, 0, bare, 'JUSTID')
    end
    redis.call('ZADD', leases, 'NX', now + GRACE, holder)
  end

  -- A job that comes back from a retry may have a deadline for its attempts. If it is over, the job fails with the error of
  -- its last run, and this returns true. The deadline holds for this wait alone: a run that a worker gives back or loses
  -- was in time.
  local function is_past_retries(id, entry, start_by, after)
    redis.call('HDEL', job .. id, 'start_by')
    if number(start_by, now) >= now then
      return false
    end
    local error, own_ttl = peek(id, 'error', 'failure_ttl')
    local late = 'its turn came after the deadline of its Retry, so it was not run again'
    redis.call('HDEL', job .. id, 'expires_at')
    redis.call('ZREM', expiring, id .. ' ' .. entry)
    leave_lane(entry)
    end_job(failed, id, 'failed', number(own_ttl, USUAL.failed), after, true, now, (error or '') .. '\n' .. late)
    return true
  end

  -- The ttl of a job that is about to be claimed ends. Returns whether it was over, and the job has expired.
  -- has_begun: it was claimed before.
  local function is_over(id, entry, expires_at, after, has_begun)
    local deadline = number(expires_at, math.huge)
    end_ttl(id, entry, has_begun)
    if deadline <= now then
      expire(id, entry, after, deadline)
      expired_count = expired_count + 1
    end
    return deadline <= now
  end

  return {
    see_to_due = function(ids, rows)
      promote(ids)
      expire_late(rows)
      flush_lanes() -- before the lanes are read, so that what has expired takes nobody's place
      return has_filled_rare
    end,
    expire_deferred = function()
      if expire_deferred(chunk) then
        flush_kept()
        flush_ends() -- before the lanes are read, so that this claim finds what is released
      end
    end,
    next_deferred = function()
      return redis.call('ZRANGE', deferred .. ':until', 0, 0, 'WITHSCORES')[2]
    end,
    decide_rest = decide_rest,
    outbox = outbox,
    keep_with_holder = keep_with_holder,
    leave_lane = leave_lane,
    is_over = is_over,
    is_past_retries = is_past_retries,
    serve_quarantine = serve_quarantine,
    has_waiting = function()
      for _, name in ipairs(SERVED) do
        if RARE[name] ~= 'quarantine' and sizes(name) > 0 then
          return true
        end
      end
      return false
    end,
    flush_lanes = flush_lanes,
    drop_rare_lanes = drop_rare_lanes,
    flush_endings = function()
      flush_kept()
      flush_ends()
    end,
    expired_count = function()
      return expired_count
    end,
    SOON = SOON,
  }
end
local made
local function others()
  made = made or make_others()
  return made
end

-- Takes what is due out of an index. This comes first: it is not refused when memory is full, so that a queue can
-- be drained then.
local function pop_due(index)
  local due = redis.call('ZRANGEBYSCORE', index, '-inf', '(' .. (now + 1), 'LIMIT', 0, chunk)
  if #due > 0 then
    redis.call('ZREM', index, unpack(due))
  end
  return due
end

-- Most jobs are nothing but a call, and no field says that there is more to them: they have no options, and have not
-- been claimed before. Of these three fields are read, of the others all: for most jobs that is a third of what this
-- script takes. A field that is not there costs more than one that is, since all are looked through for it.
-- `more` is 1, or names what is to be read besides of a job that has not been claimed before: a single field of one that
-- has options, or is a member of a group, and nothing else; and what there is to one that has waited for others.
local function start(id, entry, lane)
  local status, known, more, func, data, created_at
  if id then
    status, known, more, func, data, created_at = peek(id, 'status', 'entry', 'more', 'func', 'data', 'created_at')
  end
  if status == 'started' and known == entry then
    others().keep_with_holder(id, entry)
    return
  end
  if status ~= 'queued' or known ~= entry then -- no other state allows a claim
    others().leave_lane(entry)
    return
  end
  local key, fence, fields = job .. id, 1, nil
  if more == 'opts' or more == 'after' then
    fields = {'func', func, 'data', data, 'created_at', created_at, more, redis.call('HGET', key, more)}
  elseif more == 'parents enqueued_at' then
    local waited = redis.call('HMGET', key, 'parents', 'enqueued_at')
    fields = {
      'func', func, 'data', data, 'created_at', created_at, 'parents', waited[1], 'enqueued_at', waited[2],
    }
  elseif more then
    fields = redis.call('HGETALL', key)
    local last_fence, start_by, expires_at, after
    for i = 1, #fields, 2 do
      local name = fields[i]
      if name == 'fence' then
        last_fence = fields[i + 1]
      elseif name == 'start_by' then
        start_by = fields[i + 1]
      elseif name == 'expires_at' then
        expires_at = fields[i + 1]
      elseif name == 'after' then
        after = fields[i + 1]
      end
    end
    if start_by and others().is_past_retries(id, entry, start_by, after) then
      return
    end
    if expires_at and others().is_over(id, entry, expires_at, after, last_fence ~= nil) then
      return
    end
    if start_by or expires_at then
      fields = redis.call('HGETALL', key) -- these two hold for the wait that is over
    end
    fence = number(last_fence, 0) + 1
    -- The door into a run (`admit`): here all that is stored of the job is known, and it has not started. What may keep
    -- it from running now that its turn has come, such as a limit that is full, is asked here, of these jobs alone. A job
    -- that is not let in leaves its lane. What is taken here for the run, `leave_run` gives back.
  else
    fields = {func, data, created_at}
  end
  redis.call('HSET', key, 'status', 'started', 'fence', fence, 'started_at', now, 'worker', worker)
  if lane == 'alone' or lane == 'suspects' then
    redis.call('HSET', key, 'is_alone', (lane == 'alone' or slots == 1) and '1' or '0')
  end
  claims[#claims + 1] = id
  claims[#claims + 1] = fence
  claims[#claims + 1] = fields
end

-- Hands out up to `count` entries of a lane. Returns how many there were.
local function read(name, count)
  local lane, mark = LANES[name], mark_of(name)
  local reply = redis.pcall('XREADGROUP', 'GROUP', 'workers', worker, 'COUNT', count, 'STREAMS', lane, '>')
  if reply and reply.err then
    -- The lane was dropped when it was empty and nobody served it, and an enqueue has made it again; or somebody has
    -- destroyed its group. Any other error comes again, and is the caller's.
    if string.find(reply.err, 'NOGROUP', 1, true) then
      redis.call('XGROUP', 'CREATE', lane, 'workers', '0')
    end
    reply = redis.call('XREADGROUP', 'GROUP', 'workers', worker, 'COUNT', count, 'STREAMS', lane, '>')
  end
  if not reply then
    return 0
  end
  for _, entry in ipairs(reply[1][2]) do
    start(id_of(entry), mark .. entry[1], name)
  end
  return #reply[1][2]
end

local function take(name, most)
  local before = #claims
  if redis.call('XLEN', LANES[name]) > 0 then
    taken = taken + read(name, most)
  end
  return #claims - before
end

local flags = redis.call('EXISTS', paused, suspended, lanes)
if flags > 0 and redis.call('EXISTS', paused, suspended) > 0 then
  return {'paused'}
end
if not redis.call('ZSCORE', leases, worker) or redis.call('HGET', sessions, worker) ~= session then
  return {'missing'}
end

local due, late = pop_due(scheduled), pop_due(expiring)
local has_rare = flags > 0
if #due > 0 or #late > 0 then
  has_rare = others().see_to_due(due, late) or has_rare
end
local is_reserved, has_rest, quarantine = false, false, nil
if has_rare then
  redis.call('PERSIST', lanes) -- not refused when memory is full, and then neither is what follows
  others().expire_deferred()
  others().decide_rest()
  is_reserved, has_rest = others().serve_quarantine(take, claims)
  quarantine = {is_reserved and 1 or 0, #claims / 3, redis.call('EXISTS', others().outbox)}
end
for _, name in ipairs(SERVED) do
  local is_open = not RARE[name] or has_rare and RARE[name] ~= 'quarantine' -- that one is served already
  if is_open and taken < limit and not is_reserved then
    take(name, limit - taken)
  end
end
if made then
  made.flush_lanes()
end
if quarantine then
  made.drop_rare_lanes()
end
if made then
  made.flush_endings()
end

local next_due, soonest = -1, redis.call('ZRANGE', scheduled, 0, 0, 'WITHSCORES')[2]
if soonest then
  next_due = math.max(0, math.floor(tonumber(soonest)) - now)
end
local next_deferred = quarantine and others().next_deferred()
if next_deferred then
  local left = math.max(0, tonumber(next_deferred) - now)
  next_due = next_due < 0 and left or math.min(next_due, left)
end
if is_reserved or has_rest then
  next_due = next_due < 0 and made.SOON or math.min(next_due, made.SOON)
end
-- A worker that is full now may not look again for long: another one sees to what is left, or soon due. So it does if
-- this one is reserved.
if taken >= limit or (is_reserved and made.has_waiting()) then
  wake_one()
end
if made and made.expired_count() > 0 then
  return {'ok', now, next_due, claims, quarantine or false, made.expired_count()}
end
return {'ok', now, next_due, claims, quarantine}
