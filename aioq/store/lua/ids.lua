-- ids: the ids of the jobs in one state, in order: lanes as they will be claimed, registries by time.
-- KEYS: main front scheduled expiring job finished failed canceled stopped expired
-- ARGV: state offset limit order before expired_ttl
-- SAYS: ok
-- order: asc or desc. before: only what entered the registry up to this moment in ms, or ''.
--@include now
--@include read
--@include usual
--@include delivered

offset, limit = tonumber(offset), tonumber(limit)
local found, skipped = {}, 0

local function take(id)
  if skipped < offset then
    skipped = skipped + 1
  elseif #found < limit then
    found[#found + 1] = id
  end
  return #found < limit
end

local function list_lane(name)
  -- Entries are handed out in order, so what no worker has is what comes after the last one handed out.
  local last, mark = last_delivered(name), mark_of(name)
  local from = last and '(' .. last or '-'
  while true do
    local page = redis.call('XRANGE', LANES[name], from, '+', 'COUNT', 1000)
    for _, entry in ipairs(page) do
      local id = id_of(entry)
      local deadline = id and redis.call('ZSCORE', expiring, id .. ' ' .. mark .. entry[1])
      if id and not (deadline and tonumber(deadline) <= now) and not take(id) then
        return
      end
      from = '(' .. entry[1]
    end
    if #page < 1000 then
      return
    end
  end
end

-- What runs is in the lanes' pending lists, ordered by entry; a reader wants it by when it was started.
local function earlier(row, other)
  if row[1] ~= other[1] then
    return row[1] < other[1]
  end
  return row[2] < other[2]
end
local function list_started()
  local rows = {}
  for _, name in ipairs(SERVED) do
    local pending = redis.pcall('XPENDING', LANES[name], 'workers', '-', '+', 10000)
    for _, row in ipairs(pending.err and {} or pending) do
      local entry = redis.call('XRANGE', LANES[name], row[1], row[1])[1]
      local id = id_of(entry)
      if id then
        rows[#rows + 1] = {number(peek(id, 'started_at')[1], 0), #rows, id}
      end
    end
  end
  table.sort(rows, earlier)
  for i = 1, #rows do
    take(rows[order == 'desc' and #rows + 1 - i or i][3])
  end
end

-- Goes through an index in pages; each call gives the next id and its score, nothing at the end.
local function walk(key)
  local from, page, at = 0, {}, 1
  return function()
    if at > #page then
      page = redis.call(order == 'desc' and 'ZREVRANGE' or 'ZRANGE', key, from, from + 999, 'WITHSCORES')
      from, at = from + 1000, 1
    end
    at = at + 2
    return page[at - 2], tonumber(page[at - 1] or 0)
  end
end
local function list_scheduled()
  for id in walk(scheduled) do
    if not take(id) then
      return
    end
  end
end
-- A registry is one list in two indexes.
local function list_registry(key)
  local last, oldest = tonumber(before) or math.huge, now - usual_life(key)
  local next_own, next_usual = walk(key), walk(key .. ':usual')
  local own, own_at = next_own()
  local usual, usual_at = next_usual()
  while own or usual do
    local is_own = own and (not usual or own_at == usual_at or (own_at < usual_at) == (order == 'asc'))
    if is_own then
      local over = redis.call('ZSCORE', key .. ':until', own)
      if not (over and tonumber(over) <= now) and own_at < last + 1 and not take(own) then
        return
      end
      own, own_at = next_own()
    else
      if usual_at >= oldest + 1 and usual_at < last + 1 and not take(usual) then
        return
      end
      usual, usual_at = next_usual()
    end
  end
end

-- Expired jobs that no worker has seen yet; they ended after those that one has.
local function list_late()
  local newest, oldest = math.min(now, tonumber(before) or now), '(' .. (now - expired_ttl)
  local rows
  if order == 'desc' then
    rows = redis.call('ZREVRANGEBYSCORE', expiring, newest, oldest, 'LIMIT', 0, offset + limit)
  else
    rows = redis.call('ZRANGEBYSCORE', expiring, oldest, newest, 'LIMIT', 0, offset + limit)
  end
  for _, row in ipairs(rows) do
    take(string.match(row, '^%S+'))
  end
end

if state == 'queued' then
  for _, name in ipairs(SERVED) do
    list_lane(name)
  end
elseif state == 'started' then
  list_started()
elseif state == 'scheduled' then
  list_scheduled()
elseif state == 'expired' and order == 'desc' then
  list_late()
  list_registry(expired)
elseif state == 'expired' then
  list_registry(expired)
  list_late()
else
  list_registry(({finished = finished, failed = failed, canceled = canceled, stopped = stopped})[state])
end
return {'ok', found, now}
