-- holds: whether a run may still write. Its claim must be the job's last one, and the job must be running.
-- Returns a verdict and what was read: status, fence, entry, waiters, failure_ttl.
local function holds(id, fence, ended)
  local seen = redis.call('HMGET', job .. id, 'status', 'fence', 'entry', 'waiters', 'failure_ttl')
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
