-- reclaim: jobs that a worker claimed and does not run go back to the front of the queue.
-- KEYS: main front wake leases sessions expiring job attempts failed
-- ARGV: worker cause session chunk poison expired_ttl failure_ttl held...
-- SAYS: ok alive
-- MAKES: gone
-- cause lost: the worker's lease has ended. Its runs count as deliveries; at `poison` of them the job fails.
-- cause resync: the worker itself asks, because the reply of a claim may have been lost; it names the jobs
-- that it does hold, each as `<id> <fence>`, and its new session.
-- Returns whether there is more, the ids that went back and the ids that failed.
--@include now
--@include read
--@include lease
--@include wake
--@include lane
--@include leave
--@include usual
--@include keep
--@include follow
--@include tombstone
--@include remove_job
--@include end_job
--@include history

local lost = cause == 'lost'
local lease = redis.call('ZSCORE', leases, worker)
if lost and lease and tonumber(lease) > now then
  return {'alive'}
end
if not lost then
  local last = number(redis.call('HGET', sessions, worker), -1)
  if tonumber(session) < last then
    return {'alive'} -- it was delayed on its way: what it names is not what the worker holds now
  elseif tonumber(session) > last then
    begin_session(worker, session)
  end
end
expired_ttl, failure_ttl = tonumber(expired_ttl), tonumber(failure_ttl)
chunk, poison = tonumber(chunk), tonumber(poison)

local holding = {}
for i = held, #ARGV do
  holding[ARGV[i]] = true
end

local found, more = {}, 0
local function collect(lane, mark)
  local pending = redis.pcall('XPENDING', lane, 'workers', '-', '+', chunk, worker)
  if pending.err then
    return -- no group: nothing can be pending
  end
  if #pending == chunk then
    more = 1
  end
  for _, row in ipairs(pending) do
    local entry = redis.call('XRANGE', lane, row[1], row[1])[1]
    local id = id_of(entry)
    -- By fence, too: the lost reply may be that of a new claim of a job whose last run is still to be recorded.
    if not (id and holding[id .. ' ' .. (peek(id, 'fence')[1] or '')]) then
      found[#found + 1] = {id, mark .. row[1]}
      leave_lane(mark .. row[1])
    end
  end
end
collect(front, 'front/')
collect(main, '')
flush_lanes()

local back, dead = {}, {}
for _, each in ipairs(found) do
  local id, entry = each[1], each[2]
  local seen = id and peek(id, 'status', 'worker', 'entry', 'after', 'failure_ttl') or {}
  if seen[1] == 'started' and seen[2] == worker and seen[3] == entry then
    count_up(id, 'uncounted')
    local deliveries = lost and count_up(id, 'deliveries') or 0
    if deliveries >= poison then
      end_job(failed, id, 'failed', number(seen[5], failure_ttl), seen[4], true, now,
        'AbandonedJobError: the workers that ran this job were lost ' .. deliveries
          .. ' times (the last was ' .. worker .. '); it is not run again')
      dead[#dead + 1] = id
    else
      if lost then
        archive(id, 'abandoned', 'the worker ' .. worker .. ' was lost while it ran this job')
      else
        clear_run(id)
      end
      return_to_lane(id, true)
      back[#back + 1] = id
    end
  end
end
flush_kept()
flush_mail()

if lost and more == 1 then
  redis.call('ZADD', leases, 'XX', 0, worker) -- should it wake up meanwhile, it is told
elseif lost then
  redis.call('ZREM', leases, worker)
  redis.call('HDEL', sessions, worker)
  for _, lane in ipairs({main, front}) do
    if redis.call('EXISTS', lane) == 1 then
      redis.pcall('XGROUP', 'DELCONSUMER', lane, 'workers', worker)
    end
  end
end
if #back > 0 then
  wake_one()
end
return {'ok', more, back, dead}
