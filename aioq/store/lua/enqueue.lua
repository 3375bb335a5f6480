-- enqueue: store new jobs; each goes to its lane, or to the schedule until it is due.
-- KEYS: main front wake scheduled expiring job attempts registries
-- ARGV: words jobs...
-- SAYS: ok unknown orphan
-- MAKES: gone
-- NEEDS: now wake tombstone_of
-- A job is: id, head, then fields and values. The head is their count, and what is more to the job stands behind it as
-- words: lane=<name>, due=+<ms from now> or due=<moment in ms>, ttl=<ms>, deferred_ttl=<ms>, nonce=<text>,
-- parents=<policy><id>,..., callbacks=<kind>,..., group=<group>/<place>, tags=<tag>,... and child=<id>/<fence>: of the job
-- whose run adds this one to it. Most jobs need none of them, and each argument costs the server a tenth of a microsecond.
-- A nonce marks an id that a user chose, so that the same call sent twice is told from another call with the same id. A
-- policy is the first letter of its name, a capital one if the job takes the other's result as an argument.
-- words: what holds for the whole call if a head has words: expired_ttl=<ms>, and whole=1 if one orphan refuses it. ''
-- says that all heads are counts.
-- Returns the clock, and a row (position from 0, verdict, id) for each job that was not simply stored. duplicate: a live
-- job has this id. stale, gone: the run that it is to be a child of has lost its claim, or its job is gone. orphan: it
-- depends on a job that is neither in the queue nor before it in the call; the row names that one, too. unknown brings the
-- first word that nobody here can read. Nothing is stored then, or if an orphan refuses the call. A job of another queue
-- stands in `parents` as <id>@<queue>; depend.lua asks for it.

local MOST = 1000 -- values that one call takes; unpack takes less than 8000
local queued, sooner = false, false

-- Fields go from the arguments to the hash; to copy them first would take a quarter of this script's time.
local function put_rest(key, first, last)
  for from = first + MOST, last, MOST do
    redis.call('HSET', key, unpack(ARGV, from, math.min(from + MOST - 1, last)))
  end
end

-- Most jobs are nothing but a call, and their head is a count. What the others take stands in another function, which is
-- called when the first of them comes: each function that a script makes costs the server a tenth of a microsecond.
local expired_ttl
local function make_others()
  -- MAKES: deferred open dependents children sources outbox
  -- NEEDS: REGISTRIES heads read late lane leave schedule deferred_ttl doors/follow remove_job forget outlive keep expire deferred expire_deferred defer
  local has_ttl, has_deferred_ttl = false, false
  expired_ttl = tonumber(string.match(words, 'expired_ttl=(%d+)'))

  -- Reads the heads of the whole call before anything is written. Returns the jobs that have words, by where they stand
  -- in the arguments; or nothing, and the word that nobody can read.
  local function read_heads()
    local found, at, read = {}, jobs, {}
    while at <= #ARGV do
      local head, first = ARGV[at + 1], at + 2
      local known, unknown = read[head], nil
      if not known then
        known, unknown = read_head(head)
        if unknown then
          return nil, unknown
        end
        read[head] = known
      end
      at = first + 2 * known.count
      if known.has_words then
        found[first - 2] = setmetatable({id = ARGV[first - 2], first = first, last = at - 1}, known)
      end
    end
    return found
  end

  -- Why a job is not stored (again: the call has come twice), or the ended job whose place it takes: its state, entry and
  -- `after`.
  local function look(new)
    local id, nonce = new.id, new.nonce
    local seen = redis.call('HMGET', job .. id, 'status', 'nonce', 'expires_at', 'entry', 'after')
    local status, known, expires_at, entry, after = unpack(seen)
    if status and (known or '') == nonce then
      return 'again'
    end
    -- A job with this id that is gone may have left dependents that are still to be decided, and children.
    local left = redis.call('EXISTS', tombstone_of(id, nonce), dependents .. id, children .. id)
    if left > 0 and redis.call('EXISTS', tombstone_of(id, nonce)) == 1 then
      return 'again'
    end
    new.inherits = left > 0
    if not status then
      return nil, new.inherits and 'gone'
    end
    if REGISTRIES[status] or is_late(status, expires_at) then
      return nil, status, entry, after
    end
    return 'duplicate'
  end

  -- An id that was made for this call is looked at once, for the whole call or for its job: if it is stored, or was, the call
  -- has come twice.
  local function look_at(new)
    if new.nonce then
      return look(new)
    elseif new.seen == nil then
      new.seen = redis.call('EXISTS', job .. new.id, tombstone_of(new.id)) > 0 and 'again'
    end
    return new.seen
  end

  local known = {} -- jobs that stand in the call before the one that is looked at
  local complete = {} -- lists of such jobs
  -- A job that this one depends on which is neither.
  local function missing_parent(new)
    if not new.parents or complete[new.parents] then
      return
    end
    for _, parent in ipairs(new.parents) do
      local is_here = new.parents.are_here or not string.find(parent, '@', 1, true)
      if is_here and not (known[parent] or is_known_parent(parent) or look_at_parent(parent)) then
        return parent
      end
    end
    complete[new.parents] = true
  end

  -- What refuses the whole call: a job that is to be stored, and one that it depends on.
  local function find_orphan(news)
    local at = jobs
    while at <= #ARGV do
      local new = news[at]
      local parent = new and not look_at(new) and missing_parent(new)
      if parent then
        return {new.id, parent}
      end
      known[ARGV[at]] = true
      at = at + 2 + 2 * (new and new.count or ARGV[at + 1])
    end
  end

  -- WAIT and WAITAOF look at a connection's own writes. A call that is repeated on another one must be a write, too.
  local function write_again(id, nonce)
    local status = peek(id, 'status')
    if status then
      redis.call('HSET', job .. id, 'status', status)
    else
      redis.call('SET', tombstone_of(id, nonce), '', 'XX', 'KEEPTTL')
    end
  end

  local function replace(new, status, entry, after)
    local id = new.id
    flush_waiting() -- what follows now is for those before it in the call, too
    if status == 'queued' then
      leave_lane(entry)
      redis.call('ZREM', expiring, id .. ' ' .. (entry or ''))
    elseif status == 'deferred' then
      leave_deferred(id, true)
      redis.call('DEL', open .. id)
      flush_deferred()
    end
    if status ~= 'gone' then
      local is_late = status == 'queued' or status == 'deferred'
      leave_registry(id, status)
      -- `after` names the callers that still wait for a late job, and the callbacks of its end. One that has ended before
      -- has told these.
      remove_job(id, is_late and 'expired' or 'gone', after)
    end
    if new.inherits or is_known_parent(id) or after and string.find(' ' .. after .. ' ', ' takes ', 1, true) then
      take_place(id)
      known, complete = {}, {}
    end
  end

  -- Jobs that ran out unseen, if no worker comes: their entries go here. Most records have gone by themselves; one from
  -- whose end more follows ends now.
  local function clear_lanes()
    local gone = redis.call('ZRANGEBYSCORE', expiring, '-inf', '(' .. (now - expired_ttl), 'LIMIT', 0, 100)
    if #gone > 0 then
      redis.call('ZREM', expiring, unpack(gone))
    end
    for _, row in ipairs(gone) do
      local id, entry = string.match(row, '^(%S+) (%S+)$')
      local status, known, after, expires_at = peek(id or '', 'status', 'entry', 'after', 'expires_at')
      if status == 'queued' and known == entry and has_sequels(after) then
        expire(id, entry, after, number(expires_at, now))
      else
        leave_lane(entry)
      end
    end
    flush_kept()
  end

  local function what_more(new)
    local is_call = new.count == 1 or new.count == 2 and ARGV[new.first + 2] == 'data'
    return new.only_waits and is_call and 'parents' or '1'
  end

  -- A job of which nothing is known but what it waits for: as `put` would do it, with no list of its fields in between.
  local function put_waiting(new)
    local key, first = job .. new.id, new.first
    redis.call(
      'HSET', key, 'status', 'deferred', 'created_at', now, 'parents', new.parents.text, 'more', what_more(new),
      unpack(ARGV, first, math.min(new.last, first + MOST - 1))
    )
    put_rest(key, first, new.last)
    defer(new.id, new.parents)
  end

  local function put(new, ended, ended_entry, ended_after)
    -- The way in comes first: it is the write that is refused when memory is full. Deferred jobs are listed together, at the
    -- end of the call; of them, the record comes first, or the row that is written here before another job goes.
    local id, first, fields = new.id, new.first, {unpack(new.fields)}
    local key, entry = job .. id, nil
    if not new.parents and not new.due_at then
      entry = enter_lane(new.lane, id)
      queued = true
    elseif not new.parents then
      sooner = sooner or is_next(new.due_at)
      enter_schedule(id, new.due_at)
    end
    if ended then
      if new.parents then
        redis.call('ZADD', deferred, now, id)
      end
      replace(new, ended, ended_entry, ended_after)
    end
    local status = entry and 'queued' or new.parents and 'deferred' or 'scheduled'
    if #fields > 0 or new.due_at or new.is_member then
      add(fields, 'more', what_more(new))
    end
    add(fields, entry and 'entry' or 'due_at', entry or new.due_at)
    add(fields, 'lane', not entry and new.lane ~= 'main' and new.lane)
    for i = first, math.min(new.last, first + MOST - 1) do
      fields[#fields + 1] = ARGV[i]
    end
    redis.call('HSET', key, 'status', status, 'created_at', now, unpack(fields))
    put_rest(key, first, new.last)
    if new.after then
      local known = peek(id, 'after')
      redis.call('HSET', key, 'after', known and known .. ' ' .. new.after or new.after)
    end
    if new.has_tags then
      tag_later(id, '+inf')
    end
    if new.parent then
      add_child(new.parent, id)
    end
    if new.parents then
      defer(id, new.parents)
      if new.deferred_ttl then
        start_deferred_ttl(id, new.deferred_ttl)
        has_deferred_ttl, sooner = true, true
      end
    end
    if new.ttl and entry then
      start_ttl(id, entry, new.ttl, false, new.after)
      has_ttl = true
    end
  end

  local news, unknown = read_heads()
  return {
    unknown = unknown,
    orphan = news and string.find(words, 'whole=1', 1, true) and find_orphan(news),
    write_again = write_again,
    -- Stores the job that stands there in the arguments. Returns how many fields it has; if it was not simply stored, a
    -- verdict, and the id of a parent that is missing.
    take = function(at)
      local new = news[at]
      local verdict, ended, entry, after = look_at(new)
      verdict = verdict or new.parent and refuse_child(new.parent, new.parents_fence)
      local parent = not verdict and missing_parent(new)
      if verdict == 'again' then
        write_again(new.id, new.nonce)
        verdict = nil
      elseif parent then
        verdict = 'orphan'
      elseif not verdict and new.only_waits and not new.after then
        put_waiting(new)
      elseif not verdict then
        put(new, ended, entry, after)
      end
      return new.count, verdict, parent
    end,
    flush = function()
      flush_waiting()
      if has_ttl then
        clear_lanes()
      end
      if has_deferred_ttl then
        expire_deferred(100) -- if no worker comes
      end
      flush_lanes()
      flush_kept()
      flush_ends()
    end,
  }
end

local others
local rows, at, position = {}, jobs, 0

if words ~= '' then
  others = make_others()
  if others.unknown then
    return {'unknown', others.unknown}
  elseif others.orphan then
    return {'orphan', unpack(others.orphan)}
  end
end
while at <= #ARGV do
  local id, count, first = ARGV[at], tonumber(ARGV[at + 1]), at + 2
  if not count then
    local verdict, parent
    count, verdict, parent = others.take(at)
    if verdict then
      rows[#rows + 1] = {position, verdict, id, parent or nil}
    end
  else
    local key, last = job .. id, first + 2 * count - 1
    if redis.call('EXISTS', key, tombstone_of(id)) > 0 then -- the call has come twice: the id was made for it
      others = others or make_others()
      others.write_again(id)
    else
      local entry = redis.call('XADD', main, '*', 'id', id) -- first: it is refused when memory is full
      redis.call(
        'HSET', key, 'status', 'queued', 'created_at', now, 'entry', entry,
        unpack(ARGV, first, math.min(last, first + MOST - 1))
      )
      put_rest(key, first, last)
      queued = true
    end
  end
  at = first + 2 * count
  position = position + 1
end
if others then
  others.flush()
end

if queued or sooner then
  wake_one()
end
return {'ok', now, rows}
