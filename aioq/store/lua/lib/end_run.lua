-- end_run: take a job out of wherever its state keeps it, and tell the worker that runs it why.
-- seen: status, entry, worker, fence. why: canceled, stopped or deleted.
-- NEEDS: leave
local function end_run(id, seen, why)
  local status, entry, runner = seen[1], seen[2], seen[3]
  if status == 'queued' or status == 'started' then
    leave_lane(entry)
    flush_lanes()
  end
  if status == 'queued' then
    redis.call('ZREM', expiring, id .. ' ' .. (entry or ''))
    redis.call('HDEL', job .. id, 'expires_at')
  elseif status == 'scheduled' then
    redis.call('ZREM', scheduled, id)
  elseif status == 'started' then
    redis.call('PUBLISH', control .. (runner or ''), why .. ' ' .. job .. id .. ' ' .. (seen[4] or '0'))
  end
end
