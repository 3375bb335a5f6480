-- holds: whether a run may still write. Its claim must be the job's last one, and the job must be running.
-- Returns a verdict and what was read: status, fence, entry, waiters, failure_ttl.
local function holds(id, fence, ended)
  local seen = peek(id, 'status', 'fence', 'entry', 'waiters', 'failure_ttl')
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
-- judge: the runs that a call is about: id, fence and more, `step` arguments each from `first` on. Those that may
-- write leave their lanes. Returns where these stand in the arguments, what was read of each, and of the others the
-- position (from 0) and the verdict.
local function judge(args, first, step, ended)
  local run, seen, refused = {}, {}, {}
  for at = first, #args, step do
    local verdict
    verdict, seen[at] = holds(args[at], args[at + 1], ended)
    if verdict == 'ok' then
      leave_lane(seen[at][3])
      run[#run + 1] = at
    else
      refused[#refused + 1] = (at - first) / step
      refused[#refused + 1] = verdict
    end
  end
  flush_lanes()
  return run, seen, refused
end
