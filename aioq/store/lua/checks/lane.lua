-- lane: an entry of a lane is that of a job which knows it, and only entries are pending. lane: its key.
-- NEEDS: NEXT wake lanes leave finding checks/job checks/index
local function name_of(lane)
  return string.match(lane, '%l+$')
end
function checks.entry(lane, bare)
  local id = id_at(name_of(lane), bare)
  if not id then
    return
  end
  local entry = mark_of(name_of(lane)) .. bare
  local is_readable, status, known = look(id, 'entry')
  if not is_readable or known == entry and (status == 'queued' or status == 'started') then
    return
  end
  local deadline = score(expiring, id .. ' ' .. entry)
  if is_over(deadline and deadline + expired_ttl) or not NEXT[status or 'queued'] then
    return -- its record has run out with its ttl, and the next claim sees to it; or it is unreadable, another check
  end
  local words = status and 'it is ' .. status .. ', and knows nothing of an entry that it has in a lane'
  report('entry-without-job', id, words or 'it has an entry in a lane, and no record', function()
    leave_lane(entry)
    flush_lanes()
    redis.call('ZREM', expiring, id .. ' ' .. entry)
  end)
end
function checks.pending(lane, bare)
  local name = name_of(lane)
  local holder = holder_of(name, bare)
  if holder and not id_at(name, bare) then
    report('pending-without-entry', mark_of(name) .. bare, 'worker ' .. holder
      .. ' holds an entry that is not in the lane', function()
      redis.call('XACK', lane, 'workers', bare)
    end)
  end
end
function checks.announced(_, lane)
  if redis.call('EXISTS', lane) == 1 and redis.call('EXISTS', lanes) == 0 then
    report('lane-not-served', lane, 'it has jobs, and no claim looks at it', function()
      redis.call('HSET', lanes, 'announced_at', 0)
      wake_one()
    end)
  end
end
