-- check_lane: an entry of a lane is that of a job which knows it, and only entries are pending. lane: its key.
local function marked(lane, bare)
  return (lane == front and 'front/' or '') .. bare
end
function checks.entry(lane, bare)
  local id = id_at(lane, bare)
  if not id then
    return
  end
  local entry = marked(lane, bare)
  local seen = look(id, 'entry')
  if not seen or seen[2] == entry and (seen[1] == 'queued' or seen[1] == 'started') then
    return
  end
  local deadline = score(expiring, id .. ' ' .. entry)
  if is_over(deadline and deadline + expired_ttl) or not NEXT[seen[1] or 'queued'] then
    return -- its record has run out with its ttl, and the next claim sees to it; or it is unreadable, another check
  end
  local words = seen[1] and 'it is ' .. seen[1] .. ', and knows nothing of an entry that it has in a lane'
  report('entry-without-job', id, words or 'it has an entry in a lane, and no record', function()
    leave_lane(entry)
    flush_lanes()
    redis.call('ZREM', expiring, id .. ' ' .. entry)
  end)
end
function checks.pending(lane, bare)
  if not id_at(lane, bare) and holder_of(lane, bare) then
    report('pending-without-entry', marked(lane, bare), 'worker ' .. holder_of(lane, bare)
      .. ' holds an entry that is not in the lane', function()
      redis.call('XACK', lane, 'workers', bare)
    end)
  end
end
