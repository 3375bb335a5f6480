-- dependents: what the end of a job means to the jobs that depend on it.
-- A job that depends on others is `deferred` while it is open what one of them means to it: `open:<id>` has those others
-- (see sole_parent.lua for a single one), and each of them has `dependents:<id>`. The score of a dependent there is its policy:
-- what any end but a finish means.
-- A job of another queue stands in both as `<id>@<queue>`. What the end means to it is decided there, by decide.lua.
-- A taker is a dependent that takes the result of the other job as an argument. It stays listed when it is decided, until it
-- has ended itself; see more/takers.lua.
-- A job that ends so keeps in `waited_for` whose end that was, and for which jobs it was open then: see more/returning.lua.
-- NEEDS: now read USUAL late lane lanes schedule wake failure doors/end_job outlive outbox deferred end_wait ended_by sole_parent edge_scores
local WAIT, RUN, FAIL = 0, 1, 3 -- and 2: cancel
-- The dependents that one script decides; the others come with the next claim. To release one takes about ten microseconds.
-- To end it, or to bring it back, takes two times as long, so it counts for two.
local MOST = 400
local ENDED = 2

local has_released, has_rows = false, false
local function release_read(id, lane, due_at, expires_at, ttl, deaths, after, more)
  if is_late('deferred', expires_at) then
    end_wait(id, expires_at, after)
    return
  end
  leave_deferred(id, expires_at)
  local due = number(due_at, 0)
  if due > now then
    redis.call('HSET', job .. id, 'status', 'scheduled')
    enter_schedule(id, due)
  else
    return_to_lane(id, lane, ttl, deaths, after, more == 'parents' and 'parents enqueued_at')
  end
  has_released = true
end
local function release(id)
  release_read(id, peek(id, 'lane', 'due_at', 'expires_at', 'ttl', 'deaths', 'after', 'more'))
end
-- The job ends, since one that it depends on has not finished, or a child of that one. Returns whether its record is kept.
local function end_dependent(id, policy, parent, status, child)
  local after, failure_ttl, expires_at = peek(id, 'after', 'failure_ttl', 'expires_at')
  if is_late('deferred', expires_at) then
    end_wait(id, expires_at, after)
    return
  end
  leave_deferred(id, expires_at)
  local names = redis.call('SMEMBERS', open .. id)
  names[#names + 1] = parent
  redis.call('DEL', open .. id)
  redis.call('HSET', job .. id, 'waited_for', (child or parent) .. ' ' .. table.concat(names, ' '))
  local whose = child and child .. ', a child of job ' .. parent or parent
  local reason = 'job ' .. whose .. ', on which this one depends, ' .. (status == 'gone' and 'is gone' or 'is ' .. status)
  if policy == FAIL then
    local ttl = number(failure_ttl, USUAL.failed)
    end_job(failed, id, 'failed', ttl, after, false, now, failure('DependencyFailed', reason))
    return ttl ~= 0 or is_wanted(after)
  end
  redis.call('HSET', job .. id, 'reason', reason)
  end_job(canceled, id, 'canceled', USUAL.canceled, after, false, now)
  return true
end
-- status: how the job `parent` ended. Each pair is decided once. is_sole: as far as is known, that was the only one that the
-- job waits for. Returns whether the job has ended by it, and is kept.
local function decide(id, policy, parent, status, child, is_sole)
  local goes_on = status == 'finished' or policy == RUN
  if is_sole or redis.call('SREM', open .. id, parent) == 0 then
    local state, parents, lane, due_at, expires_at, ttl, deaths, after, more =
      peek(id, 'status', 'parents', 'lane', 'due_at', 'expires_at', 'ttl', 'deaths', 'after', 'more')
    if state ~= 'deferred' or sole_parent(parents) ~= parent then
      return -- it has ended, or was decided before
    elseif goes_on then
      release_read(id, lane, due_at, expires_at, ttl, deaths, after, more)
      return
    end
  end
  if not goes_on then
    return end_dependent(id, policy, parent, status, child)
  elseif redis.call('EXISTS', open .. id) == 0 then
    release(id)
  end
end
local function flush_decided()
  if has_rows then
    redis.call('HSET', lanes, 'follows', '1') -- a claim that finds this hash looks at more than the lanes
  end
  if has_rows or has_released then
    wake_one()
  end
  has_released, has_rows = false, false
  flush_deferred()
end
local decide_dependents
do -- a function has 200 local variables at most, and examine.lua has nearly as many
  -- The ends of many jobs that one depends on come in one script, so those after which it goes on are taken together.
  local closed = {}
  local function settle(id)
    local parents = closed[id]
    closed[id] = nil
    if #parents == 1 or redis.call('SREM', open .. id, unpack(parents)) == 0 then
      for _, parent in ipairs(parents) do
        decide(id, RUN, parent)
      end
    elseif redis.call('EXISTS', open .. id) == 0 then
      release(id)
    end
  end
  -- A row of the dependents of `parent`. Returns whether the job has ended by it, and is kept, as far as is known here.
  local function decide_row(id, number_of_policy, parent, status, child)
    local score = tonumber(number_of_policy)
    local policy, is_sole = math.floor(score), score % TAKES == SOLE
    if score == TAKER then -- it was decided before
      return false
    elseif string.find(id, '@', 1, true) then
      put_row('decide', id, parent, number_of_policy, status, child)
      has_rows = true
      return policy > RUN
    elseif not is_sole and (status == 'finished' or policy == RUN) then
      local parents = closed[id]
      if parents then
        parents[#parents + 1] = parent
      else
        closed[id] = {parent}
      end
      return false
    elseif closed[id] then
      settle(id)
    end
    return decide(id, policy, parent, status, child, is_sole)
  end
  -- Decides up to `limit` dependents of a job that has ended, from the lowest policy on. child: the child that has, if it is
  -- not the job itself. is_gone: the record of the job is. Returns what these come to, and whether some are takers, whose rows
  -- stay.
  local function decide_some(parent, status, lowest, limit, child, is_gone)
    local key = dependents .. parent
    local highest, each = is_gone and TAKER or FAIL + TAKES + SOLE, status == 'finished' and 1 or ENDED
    local rows = redis.call('ZRANGEBYSCORE', key, lowest, highest, 'WITHSCORES', 'LIMIT', 0, math.ceil(limit / each))
    local names, takers, ended_now = {}, {}, {}
    for i = 1, #rows, 2 do
      if is_gone or not is_taking(tonumber(rows[i + 1])) then
        names[#names + 1] = rows[i]
      else
        takers[#takers + 1] = TAKER
        takers[#takers + 1] = rows[i]
      end
    end
    if #names > 0 then
      redis.call('ZREM', key, unpack(names))
    end
    if #takers > 0 then
      redis.call('ZADD', key, unpack(takers))
    end
    for i = 1, #rows, 2 do
      if decide_row(rows[i], rows[i + 1], parent, status, child) and status ~= 'finished' then
        ended_now[#ended_now + 1] = rows[i + 1]
        ended_now[#ended_now + 1] = rows[i]
      end
    end
    if child or not is_gone then
      remember(child or parent, ended_now)
    end
    return each * #rows / 2, #takers > 0
  end
  -- The same of a job that has finished, if no job takes its result. All dependents go on, so this needs a command, not three.
  local function decide_some_finished(parent, limit)
    local rows = redis.call('ZPOPMIN', dependents .. parent, limit)
    for i = 1, #rows, 2 do
      decide_row(rows[i], rows[i + 1], parent, 'finished')
    end
    return #rows / 2
  end
  -- The same for a job with children.
  local function decide_some_of_parent(parent, member, limit)
    -- NEEDS: children
    local status, lowest, by = judge_children(parent)
    local own_status, after = peek(parent, 'status', 'after')
    local child = by ~= parent and by or nil
    local count = lowest and decide_some(parent, status, lowest, limit, child, not own_status) or 0
    if own_status and is_wanted(after) and redis.call('EXISTS', dependents .. parent) == 1 then
      outlive(parent, true) -- its result is to be there when the last of its children has ended
    end
    if count < limit then
      local best = redis.call('ZRANGE', children .. parent, 0, 0, 'WITHSCORES')[2]
      if best and tonumber(best) == GONE then
        redis.call('DEL', children .. parent) -- nothing can come of any of them
      elseif member and redis.call('ZSCORE', children .. parent, member) == '1' then
        outlive(member)
      end
    end
    return count
  end
  local function bring_some_back(parent, limit)
    -- MAKES: finished stopped expired
    -- NEEDS: more/returning
    return return_some(parent, limit)
  end
  -- Decides the dependents of jobs that have ended, each with its status and whether its record is gone; `again` says that
  -- the job was requeued. The list grows: a dependent that ends may have dependents itself.
  function decide_dependents(ended)
    local left, at = MOST, 1
    repeat
      while at <= #ended and left > 0 do
        local each = ended[at]
        local parent, status, is_gone = each.id, each.status, each.is_gone
        if status == 'again' then
          left = left - ENDED * bring_some_back(parent, math.ceil(left / ENDED))
        elseif each.is_parent then
          left = left - decide_some_of_parent(parent, each.member, left)
        elseif each.is_untaken and status == 'finished' then
          left = left - decide_some_finished(parent, left)
        else
          -- Whoever waits for a finish goes on waiting while the record is there: a requeue may bring it.
          local lowest = (status == 'finished' or is_gone) and WAIT or RUN
          local count, has_takers = decide_some(parent, status, lowest, left, nil, is_gone)
          left = left - count
          if left > 0 and not is_gone and redis.call('EXISTS', dependents .. parent) == 1 then
            outlive(parent, has_takers)
          end
        end
        if left > 0 then
          at = at + 1
        end
      end
      for id in pairs(closed) do
        settle(id) -- it may have run out, which is an end, too
      end
    until at > #ended or left <= 0
    for i = at, #ended do
      local each = ended[i]
      local how = each.is_gone and 'gone/' or each.is_parent and 'children/' or ''
      redis.call('ZADD', undecided, now, each.id .. ' ' .. how .. each.status)
    end
    has_rows = has_rows or at <= #ended
    flush_decided()
  end
end
