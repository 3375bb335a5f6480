-- take_out: take a job out of wherever its state keeps it; if it runs, its run ends, and its worker is told why.
-- why: canceled, stopped or deleted.
-- NEEDS: leave doors/leave_run
local function take_out(id, why, status, entry, runner, fence)
  if status == 'queued' then
    leave_lane(entry)
  elseif status == 'started' then
    leave_run(id, entry)
  end
  flush_lanes()
  if status == 'queued' then
    redis.call('ZREM', expiring, id .. ' ' .. (entry or ''))
    redis.call('HDEL', job .. id, 'expires_at')
  elseif status == 'scheduled' then
    redis.call('ZREM', scheduled, id)
  elseif status == 'deferred' then
    -- MAKES: deferred open sources
    -- NEEDS: deferred
    leave_deferred(id, true)
    redis.call('DEL', open .. id)
    flush_deferred()
  elseif status == 'started' then
    redis.call('PUBLISH', control .. (runner or ''), why .. ' ' .. job .. id .. ' ' .. (fence or '0'))
  end
end
