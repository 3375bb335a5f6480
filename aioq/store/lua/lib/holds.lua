-- holds: whether a run may still write. Its claim must be the job's last one, and the job must be running.
-- Returns a verdict; and of a job that runs its lane entry, the field `after` and another one that the caller names.
-- NEEDS: read leave doors/leave_run
local function holds(id, fence, ended, ...)
  local status, last_fence, entry, after, other = peek(id, 'status', 'fence', 'entry', 'after', ...)
  if not status then
    return 'gone'
  end
  if last_fence ~= fence then
    return 'stale'
  end
  if status == ended then
    return 'already'
  end
  if status ~= 'started' then
    return 'stale'
  end
  return 'ok', entry, after, other
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
-- write are over, and leave their lanes. Returns where these stand in the arguments; of the others the position (from 0)
-- and the verdict; and by where a run stands its field `after`, and the field that is named last, if there is one.
local function judge(args, first, step, ended, ...)
  local run, refused, afters, others = {}, {}, {}, {}
  for at = first, #args, step do
    local verdict, entry, after, other = holds(args[at], args[at + 1], ended, ...)
    if verdict == 'ok' then
      leave_run(args[at], entry)
      run[#run + 1] = at
      afters[at] = after or nil
      others[at] = other or nil
    else
      refused[#refused + 1] = (at - first) / step
      refused[#refused + 1] = verdict
    end
  end
  flush_lanes(trim)
  return run, refused, afters, others
end
