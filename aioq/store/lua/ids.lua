-- ids: one page of the ids of the jobs in one state, in order: lanes as they will be claimed, registries by time.
-- KEYS: main front scheduled deferred expiring job registries
-- ARGV: state cursor skip limit page order before since expired_ttl
-- SAYS: ok
-- MAKES: alike tag
-- NEEDS: now read REGISTRIES lanes delivered usual ordered
-- state: one of them, or `callbacks` for the callbacks that wait or run; the lists of jobs do not have these; or
-- `fingerprint <name>`, `tag <name>` for the jobs that are listed under one.
-- cursor: where the page before has ended, or ''. skip: so many jobs are passed over. limit: the most ids. page: the most
-- entries that are looked at one by one. order: asc or desc. before, since: only what entered the registry up to this moment
-- in ms, or from it on; or ''.
-- Returns the ids, the clock, the cursor of the next page or '', how many jobs were passed over, and marks: where the caller may
-- end the page earlier, each as a number of ids and the cursor behind these.
-- A job that stays in its state is in one page and no other, whatever comes and goes between the pages. Started jobs come
-- by lane and entry; when each was started is returned too, so that the caller can bring them into that order.
-- Expired jobs of one millisecond come in one page, even beyond the limit.

skip, limit, page = tonumber(skip), tonumber(limit), tonumber(page)
local backward = order == 'desc'
local found, started, marks, skipped, looked, next_cursor = {}, {}, {}, 0, 0, ''
local MARKED = 50 -- ids from one mark to the next one, at least
local last_mark = 0

local function is_full()
  return #found >= limit or looked >= page
end
-- How many entries are worth reading at once.
local function wanted()
  return math.min(page - looked, skip - skipped + limit - #found)
end
local function take(id)
  if skipped < skip then
    skipped = skipped + 1
  else
    found[#found + 1] = id
  end
end
local function is_at_mark()
  return #found >= last_mark + MARKED
end
local function mark(at)
  marks[#marks + 1] = #found
  marks[#marks + 1] = at
  last_mark = #found
end

-- Goes on through the lanes until the page is full. A cursor is a lane and an entry of it.
local function list_lanes(read, see, of_callbacks)
  local lane, from = string.match(cursor, '^(%a+) (%S+)$')
  for i = 1, #SERVED do
    local name = SERVED[backward and #SERVED + 1 - i or i]
    local has_more = not is_full() and (not lane or name == lane) and (name == 'callbacks') == (of_callbacks or false)
    while has_more do
      local count = wanted()
      local rows = read(name, from, count)
      for _, row in ipairs(rows) do
        see(name, row)
        from = row[1]
        if is_at_mark() then
          mark(name .. ' ' .. from)
        end
      end
      looked = looked + #rows
      if is_full() then
        next_cursor = name .. ' ' .. from
        return
      end
      has_more = #rows == count
    end
    if name == lane or not lane then
      lane, from = nil, nil
    end
  end
end

local function is_later(entry, other)
  local ms, turn = string.match(entry, '^(%d+)-(%d+)$')
  local other_ms, other_turn = string.match(other, '^(%d+)-(%d+)$')
  if ms ~= other_ms then
    return tonumber(ms) > tonumber(other_ms)
  end
  return tonumber(turn) > tonumber(other_turn)
end
-- Entries are handed out in order, so what no worker has is what comes after the last one handed out.
local function read_waiting(name, from, count)
  local last = last_delivered(name)
  if backward then
    from = from and '(' .. from or '+'
    return redis.call('XREVRANGE', LANES[name], from, last and '(' .. last or '-', 'COUNT', count)
  end
  if from and not (last and is_later(last, from)) then
    last = from
  end
  return redis.call('XRANGE', LANES[name], last and '(' .. last or '-', '+', 'COUNT', count)
end
local function list_waiting()
  local has_late = redis.call('ZCOUNT', expiring, '-inf', now) > 0
  list_lanes(read_waiting, function(name, entry)
    local id = id_of(entry)
    local deadline = id and has_late and redis.call('ZSCORE', expiring, id .. ' ' .. mark_of(name) .. entry[1])
    if id and not (deadline and tonumber(deadline) <= now) then
      take(id)
    end
  end)
end

local function read_all(name, from, count)
  if backward then
    return redis.call('XREVRANGE', LANES[name], from and '(' .. from or '+', '-', 'COUNT', count)
  end
  return redis.call('XRANGE', LANES[name], from and '(' .. from or '-', '+', 'COUNT', count)
end
local function list_callbacks()
  list_lanes(read_all, function(_, entry)
    local id = id_of(entry)
    if id then
      take(id)
    end
  end, true)
end

local function read_pending(name, from, count)
  local rows = redis.pcall('XPENDING', LANES[name], 'workers', from and '(' .. from or '-', '+', count)
  return rows.err and {} or rows
end
local function list_started()
  list_lanes(read_pending, function(name, row)
    local id = id_of(redis.call('XRANGE', LANES[name], row[1], row[1])[1])
    if id then
      take(id)
      started[#found] = number(peek(id, 'started_at') or nil, 0)
    end
  end)
end

-- Which ranks of a set are still to be listed. A cursor is a score, the position of a set and a member of it. At one
-- score, what stands in an earlier set comes first.
local function ranks(set, position)
  local from = set.after and redis.call('ZCOUNT', set.key, '-inf', set.after) or 0
  local to = redis.call('ZCOUNT', set.key, '-inf', set.up_to or '+inf')
  local score, other, member = string.match(cursor, '^(%S+) (%d) (.*)$')
  if not score then
    return from, to
  end
  local given
  if position == tonumber(other) then
    given = rank_of(set.key, score, member, not backward)
  else
    given = redis.call('ZCOUNT', set.key, '-inf', position < tonumber(other) and score or '(' .. score)
  end
  if backward then
    return from, math.min(to, given)
  end
  return math.max(from, given), to
end
-- Lists one sorted set all of whose members are shown: a rank is a place in the list then, so none is looked at by itself.
local function list_ranks(set)
  skipped = math.min(skip, set.to - set.from)
  local first, last = set.from + skipped, set.to - 1
  if backward then
    first, last = set.from, last - skipped
  end
  local has_more = last - first + 1 > limit
  if backward then
    first = math.max(first, last + 1 - limit)
  else
    last = math.min(last, first + limit - 1)
  end
  local rows = first <= last and redis.call('ZRANGE', set.key, first, last) or {}
  local function cursor_at(id) return redis.call('ZSCORE', set.key, id) .. ' ' .. set.position .. ' ' .. id end
  for i = 1, #rows do
    found[i] = rows[backward and #rows + 1 - i or i]
    if is_at_mark() then
      mark(cursor_at(found[i]))
    end
  end
  next_cursor = has_more and #found > 0 and cursor_at(found[#found]) or ''
end
-- Lists sorted sets as one, until the page is full. A set has a key, scores that it is listed `after` and `up_to`, what of
-- its members is `shown` (nothing: all), and what is `added` to its scores.
local function list_sets(sets, by_ms)
  local left = {}
  for position, set in ipairs(sets) do
    set.position, set.from, set.to = position, ranks(set, position)
    if set.from < set.to then
      left[#left + 1] = set
    end
  end
  if #left == 1 and not left[1].shown then
    local set = left[1]
    if not by_ms then
      return list_ranks(set)
    end
    skipped = math.min(skip, set.to - set.from)
    if backward then
      set.to = set.to - skipped
    else
      set.from = set.from + skipped
    end
  end
  local function advance(set)
    set.member, set.score = set.next()
    set.at = set.member and tonumber(set.score) + (set.added or 0)
  end
  local batch = math.max(1, wanted())
  for at = #left, 1, -1 do
    local set = left[at]
    set.next = walk(set.key, set.from, set.to, backward, batch)
    advance(set)
    if not set.at then
      table.remove(left, at)
    end
  end
  local last -- the ms of the job before
  local function before_ms(ms) return string.format('%.0f 0 ', backward and ms or ms + 1) end
  local function cursor_at(set) return set.score .. ' ' .. set.position .. ' ' .. set.member end
  while #left > 0 do
    local first, at = left[1], 1
    for i = 2, #left do
      local set = left[i]
      if backward and set.at >= first.at or not backward and set.at < first.at then
        first, at = set, i
      end
    end
    local ms = math.floor(first.at)
    if is_full() and not (by_ms and ms == last) then
      return
    end
    if by_ms and ms ~= last and is_at_mark() then
      mark(before_ms(last))
    end
    local id = first.name and first.name(first.member) or first.member
    if not first.shown or first.shown(id) then
      take(id)
    end
    looked = looked + 1
    last = ms
    if is_full() then
      next_cursor = by_ms and before_ms(last) or cursor_at(first)
    end
    if not by_ms and is_at_mark() then
      mark(cursor_at(first))
    end
    advance(first)
    if not first.at then
      table.remove(left, at)
    end
  end
  next_cursor = ''
end
-- The scores that are listed begin behind this one: `since`, or later.
local function from_ms(ms)
  local first = math.max(ms, tonumber(since) or ms)
  return first > 0 and '(' .. first or nil
end
-- A registry is one list in two indexes.
local function registry(key)
  local last, companion = tonumber(before) and '(' .. (before + 1), key .. ':until'
  local has_over = redis.call('ZCOUNT', companion, '-inf', now) > 0
  local function is_kept(id)
    local over = redis.call('ZSCORE', companion, id)
    return not (over and tonumber(over) <= now)
  end
  return {
    {key = key, after = from_ms(0), up_to = last, shown = has_over and is_kept},
    {key = key .. ':usual', after = from_ms(now - usual_life(key) + 1), up_to = last},
  }
end
-- Expired jobs that no worker has seen yet are in the list, too: of one ms they come last. When one is seen, it moves into
-- the registry, to another place of the same ms. Therefore no page ends within a ms.
local function list_expired()
  local sets = registry(expired)
  local up_to = math.min(now, tonumber(before) or now)
  local seen = math.max(now - expired_ttl, (tonumber(since) or 0) - 1)
  local LAST_PLACE = 4095 / 4096 -- a ms has so many, see keep
  local function name(row)
    return string.match(row, '^%S+')
  end
  sets[3] = {key = expiring, after = seen, up_to = up_to, added = LAST_PLACE, name = name}
  sets[4] = {key = deferred .. ':until', after = seen, up_to = up_to, added = LAST_PLACE}
  list_sets(sets, true)
end
-- Those that have waited for too long are among the expired ones.
local function list_deferred()
  local late = deferred .. ':until'
  local function waits(id)
    local deadline = redis.call('ZSCORE', late, id)
    return not (deadline and tonumber(deadline) <= now)
  end
  list_sets({{key = deferred, shown = redis.call('ZCOUNT', late, '-inf', now) > 0 and waits}})
end

if state == 'queued' then
  list_waiting()
elseif state == 'started' then
  list_started()
elseif state == 'callbacks' then
  list_callbacks()
elseif state == 'scheduled' then
  list_sets({{key = scheduled}})
elseif state == 'deferred' then
  list_deferred()
elseif string.find(state, '^%l+ ') then
  local kind, name = string.match(state, '^(%l+) (.*)$')
  list_sets({{key = (kind == 'tag' and tag or alike) .. name, after = '(' .. now}})
elseif state == 'expired' then
  list_expired()
else
  list_sets(registry(REGISTRIES[state]))
end
return {'ok', found, now, next_cursor, skipped, started, marks}
