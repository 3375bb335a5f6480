-- holds: whether a run may still write. Its claim must be the job's last one, and the job must be running.
-- Returns a verdict and what was read: status, fence, entry, after and more fields.
-- NEEDS: read leave
local function holds(id, fence, ended, ...)
  local seen = peek(id, 'status', 'fence', 'entry', 'after', ...)
  if not seen[1] then
    return 'gone', seen
  end
  if seen[2] ~= fence then
    return 'stale', seen
  end
  if seen[1] == ended then
    return 'already', seen
  end
  if seen[1] ~= 'started' then
    return 'stale', seen
  end
  return 'ok', seen
end
-- To delete one entry, the server walks through the block of a hundred that it stands in. But runs end about in the
-- order in which they began: mostly all that is older than the oldest one under way can go, in one walk. Whatever is
-- in the way of that, each entry can still be deleted by itself.
local MANY = 10
local function trim(lane, count)
  if count < MANY then
    return 0
  end
  local pending = redis.pcall('XPENDING', lane, 'workers')
  local oldest = not pending.err and pending[2]
  local gone = oldest and redis.pcall('XTRIM', lane, 'MINID', oldest)
  return type(gone) == 'number' and gone or 0
end
-- judge: the runs that a call is about: id, fence and more, `step` arguments each from `first` on. Those that may
-- write leave their lanes. Returns where these stand in the arguments, what was read of each (status, fence, entry,
-- after and the fields named last), and of the others the position (from 0) and the verdict.
local function judge(args, first, step, ended, ...)
  local run, seen, refused = {}, {}, {}
  for at = first, #args, step do
    local verdict
    verdict, seen[at] = holds(args[at], args[at + 1], ended, ...)
    if verdict == 'ok' then
      leave_lane(seen[at][3])
      run[#run + 1] = at
    else
      refused[#refused + 1] = (at - first) / step
      refused[#refused + 1] = verdict
    end
  end
  flush_lanes(trim)
  return run, seen, refused
end
