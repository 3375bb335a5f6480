-- takers: a job that takes the results of others is listed by each of them until it has ended, and no longer. Those of other
-- queues are out of reach here; a record whose retention is over asks them, see sweep.lua.
-- NEEDS: FINAL finding outlive more/takers sole_parent
local SOME = 100 -- of the jobs that wait for one, or that one waits for: over time, all of them

-- A job that has not ended takes what it was told to.
local function check_takes(id, record)
  local found = false
  local parents = redis.call('HGET', job .. id, 'parents') or ''
  if FINAL[record.status] or not string.find(',' .. parents, ',%u') then
    return false
  end
  if not string.find(' ' .. (record.after or '') .. ' ', ' takes ', 1, true) then
    report('result-not-held', id, 'it takes results of other jobs, and its end would not let go of them', function()
      redis.call('HSET', job .. id, 'after', record.after and record.after .. ' takes' or 'takes')
    end)
    return true
  end
  each_taken(parents, function(parent, is_elsewhere)
    local is_open = redis.call('SISMEMBER', open .. id, parent) == 1 or
      record.status == 'deferred' and sole_parent(parents) == parent
    if found or is_elsewhere or redis.call('EXISTS', job .. parent) == 0 or score(dependents .. parent, id) or
      is_open then -- then that it is not told is a finding already
      return
    end
    found = true
    report('result-not-held', id, 'it takes the result of job ' .. parent .. ', which is not kept for it', function()
      redis.call('ZADD', dependents .. parent, TAKER, id)
      outlive(parent, true)
    end)
  end)
  return found
end

-- A row of a job that has ended would keep a record for longer than its retention.
local function check_held(id)
  local rows = redis.call('ZRANDMEMBER', dependents .. id, SOME, 'WITHSCORES')
  for i = 1, #rows, 2 do
    if tonumber(rows[i + 1]) == TAKER and not string.find(rows[i], '@', 1, true) then
      local is_readable, status = look(rows[i])
      if is_readable and (not status or FINAL[status]) then
        report('result-held', id, 'its result is kept for job ' .. rows[i] .. ', which '
          .. (status and 'has ended' or 'is gone'), function()
          let_go(id, rows[i])
        end)
        return
      end
    end
  end
end
