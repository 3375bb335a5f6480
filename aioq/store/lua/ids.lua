-- ids: the ids of the jobs in one state, in order: lanes as they will be claimed, registries by time.
-- KEYS: main front scheduled expiring job finished failed canceled stopped expired
-- ARGV: state offset limit order before expired_ttl
-- SAYS: ok
-- order: asc or desc. before: only what entered the registry up to this moment in ms, or ''.
--@include now

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

local function list_lane(lane, mark)
  if redis.call('EXISTS', lane) == 0 then
    return
  end
  -- Entries are handed out in order, so what no worker has is what comes after the last one handed out.
  local groups = redis.call('XINFO', 'GROUPS', lane)
  local from = '-'
  for i = 1, groups[1] and #groups[1] or 0, 2 do
    if groups[1][i] == 'last-delivered-id' then
      from = '(' .. groups[1][i + 1]
    end
  end
  while true do
    local page = redis.call('XRANGE', lane, from, '+', 'COUNT', 1000)
    for _, entry in ipairs(page) do
      local id = entry[2][2]
      local deadline = redis.call('ZSCORE', expiring, id .. ' ' .. mark .. entry[1])
      if not (deadline and tonumber(deadline) <= now) and not take(id) then
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
  for _, lane in ipairs({front, main}) do
    local pending = redis.pcall('XPENDING', lane, 'workers', '-', '+', 10000)
    for _, row in ipairs(pending.err and {} or pending) do
      local entry = redis.call('XRANGE', lane, row[1], row[1])[1]
      if entry then
        local id = entry[2][2]
        rows[#rows + 1] = {tonumber(redis.call('HGET', job .. id, 'started_at') or 0), #rows, id}
      end
    end
  end
  table.sort(rows, earlier)
  for i = 1, #rows do
    take(rows[order == 'desc' and #rows + 1 - i or i][3])
  end
end

local function list_registry(key)
  local at, last = 0, tonumber(before) or math.huge
  while true do
    local page = redis.call(order == 'desc' and 'ZREVRANGE' or 'ZRANGE', key, at, at + 999, 'WITHSCORES')
    for i = 1, #page, 2 do
      local over = redis.call('ZSCORE', key .. ':until', page[i])
      local kept = not (over and tonumber(over) <= now)
      if kept and tonumber(page[i + 1]) <= last and not take(page[i]) then
        return
      end
    end
    if #page < 2000 then
      return
    end
    at = at + 1000
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
  list_lane(front, 'front/')
  list_lane(main, '')
elseif state == 'started' then
  list_started()
elseif state == 'expired' and order == 'desc' then
  list_late()
  list_registry(expired)
elseif state == 'expired' then
  list_registry(expired)
  list_late()
else
  list_registry(({
    scheduled = scheduled, finished = finished, failed = failed, canceled = canceled, stopped = stopped,
  })[state])
end
return {'ok', found, now}
