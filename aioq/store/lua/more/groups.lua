-- groups: what the ends of members mean to their groups, and the end of a group.
-- `members:<g>` lists a group's members in their order. `over:<g>` has a bit for each of them, by its place in that list: it
-- is set when the member has ended. `over:<g>/<how>` has the same for each kind of end but a finish. A bit is set once,
-- however often an end is told, so how many have ended is counted when it is asked for, and never remembered.
-- `group:<g>` is the record. Fields `fill.<word>`: somebody is adding members, until that moment at most.
-- `groups` lists all groups by when something is due: one that has ended goes, its score is that moment; somebody must have
-- gone on to add members, it is the moment, negative; nothing, it is +inf.
-- `sequel:<g>/<kind>` is the record of a job that is made when the group ends.
-- NEEDS: now read REGISTRIES lanes lane wake spare own forget doors/follow remove_job outbox
local MOST = 1000 -- values of rows that one command is made of; unpack takes less than 8000
local HOWS = {'failed', 'canceled', 'stopped', 'expired', 'gone'}

local function parts_of(g)
  local keys = {group .. g, members .. g, over .. g, sequel .. g .. '/complete', sequel .. g .. '/failure'}
  for _, how in ipairs(HOWS) do
    keys[#keys + 1] = over .. g .. '/' .. how
  end
  return keys
end
local function expire_group(g, ms)
  for _, key in ipairs(parts_of(g)) do
    redis.call('PEXPIRE', key, math.max(ms, 1))
  end
end
local function persist(g)
  for _, key in ipairs(parts_of(g)) do
    redis.call('PERSIST', key)
  end
end
-- The list lives a little longer than the last group that has ended, so it goes even if no worker ever sweeps.
local function list_group(g, score)
  redis.call('ZADD', groups, score == math.huge and '+inf' or score, g)
  local is_lasting = redis.call('ZCOUNT', groups, '-inf', '(0') + redis.call('ZCOUNT', groups, '+inf', '+inf') > 0
  local last = not is_lasting and redis.call('ZRANGE', groups, -1, -1, 'WITHSCORES')[2]
  set_retention(groups, last and math.max(0, tonumber(last) - now) + SPARE or -1)
end
-- How many members have ended without finishing.
local function count_unfinished(g)
  local found = 0
  for _, how in ipairs(HOWS) do
    found = found + redis.call('BITCOUNT', over .. g .. '/' .. how)
  end
  return found
end
-- When the last of those who add members must have gone on; nothing if nobody adds any.
local function filled_until(fields)
  local last
  for i = 1, #fields, 2 do
    if string.sub(fields[i], 1, 5) == 'fill.' then
      last = math.max(last or 0, number(fields[i + 1], 0))
    end
  end
  return last
end
-- The job that a group was given for its end. It is made from a record that is there already, so nothing of it is read.
local function make_sequel(g, kind)
  local record = sequel .. g .. '/' .. kind
  local id, name, ttl, has = unpack(redis.call('HMGET', record, 'id', 'lane', 'ttl', 'after'))
  if not id then
    return
  end
  local status, after = peek(id, 'status', 'after')
  if status and not REGISTRIES[status] then
    return -- the group has ended before; that job waits or runs, and sees what there is now
  end
  local entry = enter_lane(LANES[name or ''] and name or 'main', id)
  if status then
    leave_registry(id, status)
    remove_job(id, 'gone', after) -- its end was told when it came
  end
  redis.call('COPY', record, job .. id, 'REPLACE')
  redis.call('HDEL', job .. id, 'id', 'lane')
  -- The id may have been that of another run, after an earlier end of the group; the fences of this one are higher.
  redis.call('HSET', job .. id, 'status', 'queued', 'created_at', now, 'entry', entry, 'more', '1', 'group', g,
    'fence', now, 'uncounted', now)
  redis.call('PERSIST', job .. id)
  if number(ttl, 0) > 0 then
    start_ttl(id, entry, number(ttl), false)
  end
  if has_tags(has or nil) then
    tag_later(id, '+inf') -- behind what an earlier job of this id has left
  end
  wake_one()
end
local function tell(g, name, word)
  local channels = redis.call('HGET', group .. g, name)
  if channels then
    redis.call('HDEL', group .. g, name)
    for channel, known in string.gmatch(channels, '@([^%s/]+)(%S*)') do
      send(channel, g .. known .. ' ' .. word .. ' -\n')
    end
  end
end
-- Ends the group if all its members have ended, and nobody adds any.
local function end_if_over(g)
  local fields = redis.call('HGETALL', group .. g)
  local until_filled, known = filled_until(fields), {}
  for i = 1, #fields, 2 do
    known[fields[i]] = fields[i + 1]
  end
  local score = until_filled and -until_filled or math.huge
  if #fields == 0 or known.ended_at then
    return
  end
  if not until_filled and redis.call('BITCOUNT', over .. g) >= redis.call('LLEN', members .. g) then
    local kept_ms, kind = number(known.kept_ms, 0), 'complete'
    if redis.call('EXISTS', sequel .. g .. '/failure') == 1 and count_unfinished(g) > 0 then
      kind = 'failure'
    end
    redis.call('HSET', group .. g, 'ended_at', now)
    make_sequel(g, kind)
    tell(g, 'after', 'ended')
    if kept_ms >= 0 then
      score = now + kept_ms
      expire_group(g, kept_ms)
    end
  end
  list_group(g, score)
end
-- rows: the places of members that have ended, and how: 'finished', or as in HOWS.
local function leave_group(g, rows)
  if redis.call('EXISTS', group .. g) == 0 then
    return
  end
  local total = redis.call('LLEN', members .. g)
  for from = 1, #rows, MOST do
    local sets, hows = {}, {}
    for i = from, math.min(from + MOST - 1, #rows), 2 do
      if number(rows[i], total) < total then
        sets[#sets + 1] = 'SET'
        sets[#sets + 1] = 'u1'
        sets[#sets + 1] = rows[i]
        sets[#sets + 1] = 1
        hows[#hows + 1] = i
      end
    end
    local before = #sets > 0 and redis.call('BITFIELD', over .. g, unpack(sets)) or {}
    for at, i in ipairs(hows) do
      if before[at] == 0 and rows[i + 1] ~= 'finished' then
        redis.call('SETBIT', over .. g .. '/' .. rows[i + 1], rows[i], 1)
      end
    end
  end
  tell(g, 'watch', 'changed')
  end_if_over(g)
end
-- The same for a group of another queue, <group>@<queue>, and behind it #<edition> of members that were requeued.
local function send_to_group(g, rows)
  local name, edition = string.match(g, '^([^#]+)#?(%d*)$')
  for i = 1, #rows, 2 do
    put_row('member', name, rows[i], rows[i + 1], edition == '' and '0' or edition)
  end
  redis.call('HSET', lanes, 'follows', '1') -- a claim that finds this hash looks at more than the lanes
  wake_one()
end
-- The group has not ended, or not any more.
local function reopen(g)
  if redis.call('HDEL', group .. g, 'ended_at') == 1 then
    persist(g)
  end
end
-- A member has not ended, or not any more.
local function return_to_group(g, place)
  if redis.call('EXISTS', group .. g) == 0 or number(place, math.huge) >= redis.call('LLEN', members .. g) then
    return
  end
  reopen(g)
  redis.call('SETBIT', over .. g, place, 0)
  for _, how in ipairs(HOWS) do
    if redis.call('EXISTS', over .. g .. '/' .. how) == 1 then
      redis.call('SETBIT', over .. g .. '/' .. how, place, 0)
    end
  end
  end_if_over(g)
end
