-- children: a run may add children to its job; the dependents of the job wait for these, too.
-- `children:<id>` has those of a job and its children that have not finished, by how each stands. A job with children has the
-- word `children` in its field `after`, and a child the word child=<id>.
-- NEEDS: read
local OPEN, UNFINISHED, GONE = 0, 1, 2
local function has_children(id, after)
  return after and string.find(' ' .. after .. ' ', ' children ', 1, true) ~= nil
    and redis.call('EXISTS', children .. id) == 1
end
local function parent_in(after)
  return string.match(' ' .. after, ' child=(%S+)')
end
-- Whether it is open to the dependents of a job what becomes of this one, as the job itself or as a child.
local function is_counted(id, after)
  return redis.call('ZSCORE', children .. id, id) or redis.call('ZSCORE', children .. (parent_in(after) or id), id)
end
-- One of them has ended. Returns whether it was one of them.
local function leave_children(parent, id, status, is_gone)
  if not redis.call('ZSCORE', children .. parent, id) then
    return false
  end
  if status == 'finished' then
    redis.call('ZREM', children .. parent, id)
  else
    redis.call('ZADD', children .. parent, is_gone and GONE or UNFINISHED, id)
  end
  return true
end
-- One of them was requeued. What is gone counts no more if the job itself begins anew.
local function return_to_children(id, after)
  if string.find(' ' .. after .. ' ', ' children ', 1, true) then
    redis.call('ZADD', children .. id, 'XX', OPEN, id)
    redis.call('ZREMRANGEBYSCORE', children .. id, GONE, GONE)
  end
  local parent = parent_in(after)
  if parent then
    redis.call('ZADD', children .. parent, 'XX', OPEN, id)
  end
end
-- What a job and its children have come to so far is, to the dependents of the job, the end of one job. Returns how it has
-- ended, the lowest policy that this decides, and who has not finished; nothing if it decides nothing yet.
local function judge_children(id)
  local first = redis.call('ZRANGE', children .. id, 0, 0, 'WITHSCORES')
  local last = redis.call('ZRANGE', children .. id, -1, -1, 'WITHSCORES')
  if #first == 0 then
    return 'finished', 0, id
  end
  local best, worst = tonumber(first[2]), tonumber(last[2])
  if worst == OPEN then
    return
  end
  local status = worst == UNFINISHED and peek(last[1], 'status') or 'gone'
  if best == OPEN then
    return status, 2, last[1] -- whoever does not run after a failure need not wait for the others
  end
  return status, worst == GONE and 0 or 1, last[1]
end
