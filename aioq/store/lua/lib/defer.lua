-- defer: a new job waits for others, or is a child of one.
-- NEEDS: now FINAL read doors/follow outlive outbox sole_parent edge_scores
-- Many jobs of a call may depend on one, so what is known of that one is kept: how it has ended (false: it has not), what
-- follows from its end, whether its record goes by itself, whether it is judged with its children, whether it was told to
-- stay, and whether what its end means is to be decided.
local ends, afters, goes, judged, stay, decided = {}, {}, {}, {}, {}, {}
-- Returns whether there is such a job.
local function look_at_parent(parent)
  local status, after, expires_at = peek(parent, 'status', 'after', 'expires_at')
  if not status then
    return false
  end
  ends[parent] = FINAL[status] and status or false
  if ends[parent] or expires_at then
    goes[parent] = true
  end
  if after then
    afters[parent] = after
  end
  if after and string.find(' ' .. after, ' child', 1, true) then
    -- MAKES: children
    -- NEEDS: children
    if has_children(parent, after) then
      judged[parent] = true
      decide_children_later(parent)
    end
  end
  return true
end
-- Whether a job of this call depends on this one.
local function is_known_parent(id)
  return ends[id] ~= nil
end
local function depend(parent, score)
  if ends[parent] == nil then
    look_at_parent(parent)
  end
  local status, takes = ends[parent], is_taking(score)
  if not judged[parent] and status and (status == 'finished' or score >= 1) then
    if not decided[parent] then
      decided[parent] = true
      decide_later(parent, status)
    end
  elseif takes and stay[parent] ~= 'wanted' or not (stay[parent] or judged[parent]) then
    local after = nil -- what was read, unless other words have been written since
    if not stay[parent] then
      after = afters[parent] or false
    end
    stay[parent] = takes and 'wanted' or 'stays'
    outlive(parent, takes, after, not goes[parent])
  end
end
-- Rows of many jobs go into an index together: those of the deferred jobs, and those of the dependents of one job.
local waiting, listed = {}, {}
local function add_rows(key, rows)
  for from = 1, #rows, 1000 do -- unpack takes less than 8000
    redis.call('ZADD', key, unpack(rows, from, math.min(from + 999, #rows)))
  end
end
local function flush_waiting()
  add_rows(deferred, waiting)
  for parent, rows in pairs(listed) do
    add_rows(dependents .. parent, rows)
  end
  waiting, listed = {}, {}
end
local function add_row(rows, score, member)
  rows[#rows + 1] = score
  rows[#rows + 1] = member
end
-- The job waits for the ends of others. An end that has come already is decided when the call has stored all jobs.
-- parents: as lib/heads.lua has them; jobs with one head have one table.
local function defer(id, parents)
  add_row(waiting, now, id)
  for at, name in ipairs(parents) do
    local score = parents.scores[at]
    if not parents.are_here and string.find(name, '@', 1, true) then
      put_row('depend', name, score, id)
      redis.call('SADD', sources, string.match(name, '@(.+)$'))
    else
      local rows = listed[name]
      if not rows then
        rows = {}
        listed[name] = rows
      end
      add_row(rows, score, id)
      depend(name, score)
    end
  end
  if sole_parent(parents.text) then
    return
  end
  for from = 1, #parents, 1000 do -- unpack takes less than 8000
    redis.call('SADD', open .. id, unpack(parents, from, math.min(from + 999, #parents)))
  end
end
-- A new job takes the place of one that had this id. What the end of that one means to those that depend on it is decided
-- first, however many they are, since the new one is going to be listed in the same places. Other jobs may end by that.
local function take_place(id)
  -- MAKES: children
  -- NEEDS: decide_rest
  local key, left, before = dependents .. id, nil, nil
  flush_ends()
  repeat
    before, left = left, redis.call('ZCARD', key)
    decide_rest(id)
    flush_ends()
  until left == 0 or left == before
  redis.call('DEL', children .. id)
  repeat
    before, left = left, redis.call('ZCARD', key)
    if left > 0 then
      decide_later(id, 'gone', true)
    end
    decide_rest(id)
    flush_ends()
  until left == 0 or left == before
  ends, afters, goes, judged, stay, decided = {}, {}, {}, {}, {}, {}
end
-- Why a job cannot be a child of the run with this fence; false if it can.
local function refuse_child(parent, fence)
  local status, last_fence = peek(parent, 'status', 'fence')
  return not status and 'gone' or (status ~= 'started' or last_fence ~= fence) and 'stale'
end
local function add_child(parent, id)
  -- MAKES: children
  local after = peek(parent, 'after')
  redis.call('ZADD', children .. parent, 'NX', 0, parent, 0, id)
  if not string.find(' ' .. (after or '') .. ' ', ' children ', 1, true) then
    redis.call('HSET', job .. parent, 'after', after and after .. ' children' or 'children')
    ends[parent], afters[parent] = nil, nil
  end
end
