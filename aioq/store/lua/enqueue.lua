-- enqueue: store new jobs; each goes to its lane, or to the schedule until it is due.
-- KEYS: main front wake scheduled expiring job attempts registries
-- ARGV: expired_ttl jobs...
-- SAYS: ok
-- MAKES: gone
-- NEEDS: now wake tombstone
-- A job is: id, head, then fields and values. The head is their count, or five words: the count, the lane, due
-- ('+ms' from now, or a moment in ms), the ttl, a nonce; '-' for what does not apply. Most jobs need none of them, and
-- each argument costs the server a tenth of a microsecond. A nonce marks an id that a user chose, so that the same
-- call sent twice is told from another call with the same id. Returns the clock and the positions (from 0) of the
-- duplicates.

local MOST = 1000 -- values that one call takes; unpack takes less than 8000

local queued, sooner = false, false
expired_ttl = tonumber(expired_ttl)

-- Fields go from the arguments to the hash; to copy them first would take a quarter of this script's time.
local function put_rest(key, first, last)
  for from = first + MOST, last, MOST do
    redis.call('HSET', key, unpack(ARGV, from, math.min(from + MOST - 1, last)))
  end
end

-- Most jobs are nothing but a call, and their head is a count. What the others take stands in another function, which is
-- called when the first of them comes: each function that a script makes costs the server a tenth of a microsecond.
local function make_others()
  -- NEEDS: REGISTRIES late lane leave schedule doors/follow remove_job forget

  local has_ttl = false

  -- Whether a job with this id is stored that stays, whether it is another one than this, and the one that goes.
  local function look(id, nonce)
    if not nonce then -- an id that was made for this call: if it is stored, or was, the call has come twice
      return redis.call('EXISTS', job .. id, tombstone_of(id)) > 0, false
    end
    local seen = redis.call('HMGET', job .. id, 'status', 'nonce', 'expires_at', 'entry', 'after')
    if seen[1] and (seen[2] or '') == nonce or redis.call('EXISTS', tombstone_of(id, nonce)) == 1 then
      return true, false
    end
    if not seen[1] then
      return false, false
    end
    if REGISTRIES[seen[1]] or is_late(seen[1], seen[3]) then
      return false, false, seen
    end
    return true, true
  end

  -- WAIT and WAITAOF look at a connection's own writes. A call that is repeated on another one must be a write, too.
  local function write_again(id, nonce)
    local status = redis.call('HMGET', job .. id, 'status')[1]
    if status then
      redis.call('HSET', job .. id, 'status', status)
    else
      redis.call('SET', tombstone_of(id, nonce), '', 'XX', 'KEEPTTL')
    end
  end

  local function replace(id, seen)
    if seen[1] == 'queued' then
      leave_lane(seen[4])
      redis.call('ZREM', expiring, id .. ' ' .. (seen[4] or ''))
    end
    leave_registry(id, seen[1])
    remove_job(id, 'expired', seen[5]) -- `after` names the callers that still wait for a late job
  end

  -- Jobs that ran out unseen: their hashes have gone by themselves, and here go their entries, if no worker comes.
  local function clear_lanes()
    local gone = redis.call('ZRANGEBYSCORE', expiring, '-inf', '(' .. (now - expired_ttl), 'LIMIT', 0, 100)
    if #gone > 0 then
      redis.call('ZREM', expiring, unpack(gone))
    end
    for _, row in ipairs(gone) do
      leave_lane(string.match(row, ' (%S+)$'))
    end
  end

  -- The words of a head that are more than a count; nil for each that does not apply.
  local function words_of(head)
    local words = {}
    for word in string.gmatch(head, '%S+') do
      words[#words + 1] = word ~= '-' and word
    end
    return tonumber(words[1]), words[2], words[3] or nil, words[4] or nil, words[5] or nil
  end

  local function moment(due)
    local delay = string.match(due, '^%+(%d+)$')
    return delay and now + tonumber(delay) or tonumber(due)
  end

  local function put(id, first, last, lane, due, ttl, nonce, ended)
    -- The way in comes first: it is the write that is refused when memory is full.
    local key, entry, due_at = job .. id, nil, nil
    if not due then
      entry = enter_lane(id, lane == 'front')
      queued = true
    else
      due_at = moment(due)
      sooner = sooner or is_next(due_at)
      enter_schedule(id, due_at)
    end
    if ended then
      replace(id, ended)
    end
    local until_rest = math.min(last, first + MOST - 1)
    if entry then
      redis.call('HSET', key, 'status', 'queued', 'created_at', now, 'entry', entry, unpack(ARGV, first, until_rest))
    else
      redis.call('HSET', key, 'status', 'scheduled', 'created_at', now, 'due_at', due_at, unpack(ARGV, first, until_rest))
      if lane == 'front' then
        redis.call('HSET', key, 'front', '1')
      end
    end
    put_rest(key, first, last)
    if nonce then
      -- An id that a user chose may come again after a delete. Fences that begin at the clock keep growing
      -- over that, so a run of the old job can never write into the new one.
      redis.call('HSET', key, 'nonce', nonce, 'fence', now, 'uncounted', now)
    end
    if ttl then
      redis.call('HSET', key, 'ttl', ttl)
    end
    if nonce or ttl or due then
      redis.call('HSET', key, 'more', '1')
    end
    if ttl and entry then
      start_ttl(id, entry, tonumber(ttl))
      has_ttl = true
    end
  end

  return {
    write_again = write_again,
    -- Returns how many fields the job has, and whether it is a duplicate.
    take = function(id, head, first)
      local count, lane, due, ttl, nonce = words_of(head)
      local stored, duplicate, ended = look(id, nonce)
      if stored and not duplicate then
        write_again(id, nonce)
      elseif not stored then
        put(id, first, first + 2 * count - 1, lane, due, ttl, nonce, ended)
      end
      return count, duplicate
    end,
    flush = function()
      if has_ttl then
        clear_lanes()
      end
      flush_lanes()
      flush_mail()
    end,
  }
end

local others
local duplicates, at, position = {}, jobs, 0

while at <= #ARGV do
  local id, count, first = ARGV[at], tonumber(ARGV[at + 1]), at + 2
  if not count then
    local duplicate
    others = others or make_others()
    count, duplicate = others.take(id, ARGV[at + 1], first)
    if duplicate then
      duplicates[#duplicates + 1] = position
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
return {'ok', now, duplicates}
