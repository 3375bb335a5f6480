-- reclaim: jobs that a worker claimed and does not run go back to the front of the queue, or into quarantine.
-- KEYS: main front wake leases sessions expiring job attempts failed
-- ARGV: worker cause session chunk expired_ttl failure_ttl held...
-- SAYS: ok alive
-- MAKES: gone minutes hours departed
-- NEEDS: now read wake lanes entries deaths lane leave lease keep doors/follow doors/end_job history failure consumer doors/leave_run callback figures departed
-- cause lost: the worker's lease has ended. Its runs count as deliveries. A job fails if it was alone on this worker,
-- and on enough other ones that died; all others run again.
-- cause reaped: the same, whatever its lease says: whoever has started the worker's process has seen its end.
-- cause resync: the worker itself asks, because the reply of a claim may have been lost; it names the jobs
-- that it does hold, each as `<id> <fence>`, and its new session.
-- Returns whether there is more, the ids that went back and the ids that failed.

local lost = cause == 'lost' or cause == 'reaped'
local lease = cause == 'lost' and redis.call('ZSCORE', leases, worker)
if lease and tonumber(lease) > now then
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
chunk = tonumber(chunk)

local holding = {}
for i = held, #ARGV do
  holding[ARGV[i]] = true
end

-- How many jobs the dead worker held, of which each chunk takes some. Until the last one is taken, this stands in place
-- of the worker's session; should the worker wake up meanwhile, it may not claim.
local function count_held()
  local count = tonumber(string.match(redis.call('HGET', sessions, worker) or '', '^lost (%d+)$'))
  if not count then
    count = 0
    for _, name in ipairs(SERVED) do
      count = count + #pending_for(worker, name, 100000)
    end
  end
  return count
end
local total = lost and count_held()

local found, more = {}, 0
for _, name in ipairs(SERVED) do
  local rows = pending_for(worker, name, chunk)
  if #rows == chunk then
    more = 1
  end
  for _, row in ipairs(rows) do
    local id, entry = id_of(redis.call('XRANGE', LANES[name], row[1], row[1])[1]), mark_of(name) .. row[1]
    local run, status, fence, holder, known = {id = id}, nil, nil, nil, nil
    if id then
      status, fence, holder, known, run.after, run.failure_ttl, run.deaths, run.is_alone =
        peek(id, 'status', 'fence', 'worker', 'entry', 'after', 'failure_ttl', 'deaths', 'is_alone')
    end
    -- By fence, too: the lost reply may be that of a new claim of a job whose last run is still to be recorded.
    local is_held = id and holding[id .. ' ' .. (fence or '')]
    if not is_held and status == 'started' and holder == worker and known == entry then
      leave_run(id, entry)
      found[#found + 1] = run
    elseif not is_held then
      leave_lane(entry)
    end
  end
end
flush_lanes()

local function tell_deaths(deaths)
  local told = {}
  for beside, name in string.gmatch(deaths, '(%d+) ([^\n]*)\n') do
    told[#told + 1] = name .. (beside == '0' and ' (alone)' or ' (' .. beside .. ' other jobs)')
  end
  return table.concat(told, ', ')
end

local back, dead = {}, {}
local held_ids, failed_count = {}, 0 -- without callbacks, which no statistics count
local function add_death(deaths, beside)
  return (deaths or '') .. beside .. ' ' .. string.gsub(worker, '%c', '?') .. '\n'
end
for _, run in ipairs(found) do
  local id, is_alone, deaths = run.id, run.is_alone == '1', run.deaths
  local beside = is_alone and 0 or total and total - 1
  count_up(id, 'uncounted')
  if not is_callback(id) then
    held_ids[#held_ids + 1] = id
  end
  if lost then
    count_up(id, 'deliveries')
    deaths = add_death(deaths, beside)
    redis.call('HSET', job .. id, 'deaths', deaths)
  end
  if lost and is_alone and count_deaths(deaths) >= ALONE_AT then
    end_job(failed, id, 'failed', number(run.failure_ttl, failure_ttl), run.after, true, now,
      failure('AbandonedJobError', 'the workers that ran this job were lost ' .. count_deaths(deaths)
        .. ' times, and the last one ran nothing else; it is not run again. The workers: ' .. tell_deaths(deaths)))
    dead[#dead + 1] = id
    failed_count = failed_count + (is_callback(id) and 0 or 1)
  else
    if lost then
      archive(id, 'abandoned', failure('AbandonedJobError', 'the worker ' .. worker
        .. ' was lost while it ran this job' .. (beside > 0 and ' and ' .. beside .. ' others' or '')))
    else
      clear_run(id)
    end
    return_to_lane(id, 'front')
    back[#back + 1] = id
  end
end
flush_kept()
flush_ends()

if lost and more == 1 then
  redis.call('ZADD', leases, 'XX', 0, worker) -- should it wake up meanwhile, it is told
  redis.call('HSET', sessions, worker, 'lost ' .. total)
elseif lost then
  if redis.call('ZREM', leases, worker) == 1 or total > 0 then
    note_departed(worker, cause == 'reaped' and 'died' or 'lost', total, held_ids)
  end
  redis.call('HDEL', sessions, worker)
  remove_consumer(worker)
end
if lost and #held_ids > 0 then
  note('lost=' .. #held_ids .. ' failed=' .. failed_count)
end
if #back > 0 then
  wake_one()
end
return {'ok', more, back, dead}
