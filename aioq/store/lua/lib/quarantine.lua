-- quarantine: which jobs of the lanes of quarantine a claim hands out. See docs/design.md.
-- NEEDS: now read wake lanes entries
local SOON = 1000 -- ms; how soon a worker looks again after a job that it may not have yet
-- A claim calls this only if there is a lane that is there only sometimes. Functions that stand in it are made only then.
-- take: hands out entries of a lane, so many at the most; it says how many jobs that were. claims: what was handed out.
-- Returns whether the worker is reserved, and whether there is a rest.
local function serve_quarantine(take, claims)
  local MOST_SUSPECTS = 10 -- that one worker runs at a time

  -- A worker that holds jobs stops claiming, so that a job that must run alone gets a worker for itself. One worker at a
  -- time does so, and only if no idle one has taken the job within a moment.
  local function must_drain()
    local drains, drains_at, waits_since = unpack(redis.call('HMGET', lanes, 'drains', 'drains_at', 'waits_since'))
    if not waits_since then
      redis.call('HSET', lanes, 'waits_since', now)
      return false
    end
    if now - number(waits_since, 0) < SOON or drains ~= worker and now - number(drains_at, 0) < 5 * SOON then
      return false
    end
    redis.call('HSET', lanes, 'drains', worker, 'drains_at', now)
    return true
  end
  -- Whether the worker is reserved: it may take nothing else until it holds nothing any more.
  local function take_quarantined()
    if #pending_for(worker, 'alone', 1) > 0 then
      return true
    end
    if sizes('alone') > 0 then
      if held > 0 then
        if must_drain() then
          return true
        end
      elseif take('alone', 1) > 0 then
        redis.call('HDEL', lanes, 'waits_since')
        return true
      end
    end
    -- They are not claimed ahead: one that has not begun would count as one that was there when the worker died.
    local known = math.max(tonumber(suspects), #pending_for(worker, 'suspects', MOST_SUSPECTS))
    local room = math.min(limit, slots - held, MOST_SUSPECTS - known)
    if room > 0 then
      take('suspects', room)
    end
    return false
  end
  -- Others may have room for what is left. They are told at once if there was progress, and else once in a while: a
  -- worker that can take nothing may be the one that hears it.
  local function announce_rest(has_progress)
    if sizes('alone') + sizes('suspects') == 0 then
      return false
    end
    if has_progress or now - number(redis.call('HGET', lanes, 'announced_at'), 0) >= SOON then
      redis.call('HSET', lanes, 'announced_at', now)
      wake_one()
    end
    return true
  end
  local is_reserved = take_quarantined()
  return is_reserved, announce_rest(#claims > 0)
end
