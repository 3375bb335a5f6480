-- job: a record can be read, its job stands in the one index of its state, and goes when it is to go.
-- NEEDS: now read NEXT FINAL REGISTRIES late wake lanes delivered lane lane_of leave usual keep fingerprint doors/end_job forget history failure finding doors/leave_run own outlive more/dependents callback children checks/callbacks checks/takers checks/edge sole_parent checks/fingerprints checks/tags
local TEXTS = {'status', 'func', 'entry', 'worker', 'after', 'tags'}
local NUMBERS = {
  'fence', 'uncounted', 'deliveries', 'ttl', 'deferred_ttl', 'failure_ttl', 'created_at', 'enqueued_at', 'due_at',
  'expires_at', 'started_at', 'ended_at', 'first_started_at', 'start_by', 'repeats',
}
-- Without these fields no script can go on with a job in that state.
local NEEDED = {scheduled = {'due_at'}, started = {'fence'}}
for status in pairs(FINAL) do
  NEEDED[status] = {'ended_at'}
end

local function read_record(id)
  local texts, numbers = redis.call('HMGET', job .. id, unpack(TEXTS)), redis.call('HMGET', job .. id, unpack(NUMBERS))
  local record = {left = redis.call('PTTL', job .. id)}
  for i, name in ipairs(TEXTS) do
    record[name] = texts[i] or nil
  end
  for i, name in ipairs(NUMBERS) do
    local text = numbers[i]
    record[name] = number(text)
    if text and not record[name] then
      record.unreadable = record.unreadable or name
    end
  end
  if record.uncounted and record.uncounted > (record.fence or 0) then
    record.unreadable = record.unreadable or 'uncounted'
  end
  for _, name in ipairs(NEEDED[record.status] or {}) do
    if not record[name] then
      record.unreadable = record.unreadable or name
    end
  end
  return record
end

local function id_at(name, bare)
  local entry = redis.call('XRANGE', LANES[name], bare, bare)[1]
  return entry and entry[2][2]
end
-- The worker that an entry is pending for.
local function holder_of(name, bare)
  local pending = redis.pcall('XPENDING', LANES[name], 'workers', bare, bare, 1)
  return not pending.err and pending[1] and pending[1][2]
end

-- Entries are handed out in their order: what is not after the last one is handed out no more.
local delivered = {}
local function is_passed(name, bare)
  delivered[name] = delivered[name] or last_delivered(name) or '0-0'
  local ms, number = string.match(bare, '^(%d+)%-(%d+)$')
  local last_ms, last_number = string.match(delivered[name], '^(%d+)%-(%d+)$')
  ms, last_ms = tonumber(ms), tonumber(last_ms)
  return ms < last_ms or (ms == last_ms and tonumber(number) <= tonumber(last_number))
end

-- Remedies. Every trace in an index goes first, then the job enters the right one.
local function leave_everything(id, record)
  local lane, bare = lane_of(record.entry)
  local is_there = lane and (id_at(lane, bare) or id) == id
  if record.status == 'started' then
    leave_run(id, is_there and record.entry)
  elseif is_there then
    leave_lane(record.entry)
  end
  flush_lanes()
  redis.call('ZREM', expiring, id .. ' ' .. (record.entry or ''))
  redis.call('ZREM', scheduled, id)
  for status in pairs(REGISTRIES) do
    leave_registry(id, status)
  end
end
local function bring_back(id, record, lane)
  leave_everything(id, record)
  if record.status == 'started' then
    if record.fence then
      redis.call('HINCRBY', job .. id, 'uncounted', 1)
      archive(id, 'abandoned', failure('AbandonedJobError', 'no worker held this run any more'))
    end
    clear_run(id)
  end
  redis.call('HDEL', job .. id, 'expires_at')
  keep_record(id, -1)
  return_to_lane(id, lane)
  wake_one()
end
-- The retention of a job that has lost it: what its registry says, else what it was enqueued with, else the usual one.
local function retention_of(id, record)
  local registry = REGISTRIES[record.status]
  local usual, forgotten = moment(registry .. ':usual', id), moment(registry .. ':until', id)
  local goes = usual and usual + usual_life(registry) or forgotten
  if goes and goes > now then
    return goes - now
  end
  local given = record.failure_ttl
  if record.status == 'finished' then
    given = number(string.match(redis.call('HGET', job .. id, 'opts') or '', '"result_ttl"[^%d-]*(-?%d+)'))
  elseif record.status ~= 'failed' and record.status ~= 'stopped' then
    given = nil
  end
  return given and given ~= 0 and given or usual_life(registry)
end
local function enter_registry(id, record)
  local registry = REGISTRIES[record.status]
  local ttl = record.left > 0 and record.left or retention_of(id, record)
  local usual = record.ended_at + usual_life(registry) - now
  if ttl > 0 and usual > 0 and is_near(ttl, usual) then
    ttl = usual
  end
  leave_everything(id, record)
  keep_record(id, ttl)
  if record.status == 'failed' then
    redis.call('HSET', job .. id, 'fingerprint', fingerprint_of(id, peek(id, 'error') or ''))
  end
  keep(registry, id, ttl, record.ended_at)
  flush_kept()
end
-- A job whose state nobody can tell is not run: it goes where a person looks, and can be requeued from there.
local function give_up(id, record)
  leave_everything(id, record)
  redis.call('HSETNX', job .. id, 'func', '?')
  local ttl = record.failure_ttl and record.failure_ttl ~= 0 and record.failure_ttl or usual_life(failed)
  redis.call('HDEL', job .. id, 'expires_at')
  end_job(failed, id, 'failed', ttl, redis.call('HGET', job .. id, 'after'), true, now,
    failure('DeserializationError',
      'the record of this job was damaged, so its state could not be told; it was put here by a repair'))
  flush_kept()
end
local function mend_field(id, record)
  local name = record.unreadable
  if name == 'fence' or name == 'uncounted' then
    redis.call('HSET', job .. id, 'fence', now, 'uncounted', now) -- it must grow, and the clock is above any count
    if record.status == 'started' then
      bring_back(id, {status = 'started', entry = record.entry}, 'front') -- no run can prove that it holds the claim
    end
  elseif name == 'ended_at' and FINAL[record.status] then
    redis.call('HSET', job .. id, 'ended_at', now)
  elseif name == 'due_at' and record.status == 'scheduled' then
    redis.call('HSET', job .. id, 'due_at', moment(scheduled, id) or now)
  else
    redis.call('HDEL', job .. id, name)
  end
end

local function check_history(id, record, length)
  local left = length > 0 and redis.call('PTTL', attempts .. id)
  if not left or left == record.left or (left > 0 and record.left > 0 and is_near(left, record.left)) then
    return
  end
  report(left == -1 and 'no-retention' or 'retention-differs', id,
    'its history goes at another time than its record', function()
    set_retention(attempts .. id, record.left)
  end)
end
-- A job that has not ended must not go by itself.
local function check_lasting(id, record)
  if record.left ~= -1 then
    report('unwanted-retention', id, 'it is ' .. record.status .. ', and would be gone in '
      .. math.ceil(record.left / 1000) .. ' s', function()
      redis.call('PERSIST', job .. id)
    end)
    return true
  end
end

-- A callback that has done its work stands in no registry.
local function check_done_callback(id, record)
  if record.left == -1 then
    report('no-retention', id, 'it is a callback that has finished, and would stay for ever', function()
      keep_record(id, retention_of(id, record))
    end)
    return true
  end
end
local function check_ended(id, record)
  if record.status == 'finished' and is_callback(id) then
    return check_done_callback(id, record)
  end
  local registry = REGISTRIES[record.status]
  local usual, own = score(registry .. ':usual', id), score(registry, id)
  local forgotten, status = score(registry .. ':until', id), record.status
  local kind, words
  local goes = forgotten
  if usual then
    goes = math.floor(usual) + usual_life(registry)
  end
  if usual and own then
    kind, words = 'job-in-two-indexes', 'it is ' .. status .. ', and stands twice in that registry'
  elseif not usual and not own then
    kind, words = 'job-without-index', 'it is ' .. status .. ', and is not in that registry'
  elseif math.floor(usual or own) ~= record.ended_at then
    kind, words = 'index-differs', 'its registry and its record name two moments at which it ended'
  elseif has_dependents(record.after)
    and (redis.call('EXISTS', dependents .. id) == 1 or is_counted(id, record.after)) then
    return -- its dependents wait for a finish, so it goes when its registry is swept
  elseif goes and record.left == -1 then
    kind, words = 'no-retention', 'it is ' .. status .. ', and would stay for ever'
  elseif goes and not is_near(now + record.left, goes) then
    kind, words = 'retention-differs', 'its record goes at another time than its registry says'
  elseif not goes and record.left ~= -1 then
    kind, words = 'retention-differs', 'its record goes, and by its registry it is kept for ever'
  end
  if kind then
    report(kind, id, words, function()
      enter_registry(id, record)
    end)
    return true
  end
  return status == 'failed' and check_fingerprint(id, record, goes)
end

local CHECKS = {} -- of jobs that have not ended, by their states
function CHECKS.scheduled(id, record)
  local due = moment(scheduled, id)
  if not due then
    report('job-without-index', id, 'it is scheduled, and the schedule has no moment for it', function()
      redis.call('ZADD', scheduled, record.due_at, id)
      wake_one()
    end)
  elseif due ~= record.due_at then
    report('index-differs', id, 'the schedule and its record name two moments at which it is due', function()
      redis.call('HSET', job .. id, 'due_at', due)
    end)
  else
    return check_lasting(id, record)
  end
  return true
end

-- The deadline of a queued job with a ttl.
local function check_deadline(id, record)
  local row = id .. ' ' .. (record.entry or '0-0')
  local goes = record.expires_at + expired_ttl
  if score(expiring, row) ~= record.expires_at then
    report('index-differs', id, 'it has a ttl, and its deadline is not in the index of deadlines', function()
      redis.call('HSETNX', job .. id, 'entry', '0-0') -- no entry at all: the deadline alone ends it
      redis.call('ZADD', expiring, record.expires_at, row)
    end)
  elseif has_sequels(record.after) then
    return check_lasting(id, record)
  elseif record.left == -1 or not is_near(now + record.left, goes) then
    report(record.left == -1 and 'no-retention' or 'retention-differs', id,
      'it has a ttl, and does not go when it should', function()
      redis.call('PEXPIREAT', job .. id, goes)
    end)
  else
    return
  end
  return true
end
function CHECKS.queued(id, record)
  if is_late('queued', record.expires_at) then
    return check_deadline(id, record) -- its deadline is what ends it, whatever became of its entry
  end
  local lane, bare = lane_of(record.entry)
  if not lane or id_at(lane, bare) ~= id then
    report('job-without-index', id, 'it is queued, and is in no lane', function()
      bring_back(id, {status = 'queued', entry = nil}, lane)
      redis.call('ZREM', expiring, id .. ' ' .. (record.entry or ''))
    end)
  elseif holder_of(lane, bare) then
    report('job-in-two-indexes', id, 'it is queued, and worker ' .. holder_of(lane, bare) .. ' holds it', function()
      bring_back(id, record, 'front')
    end)
  elseif is_passed(lane, bare) then
    report('entry-passed-over', id, 'it is queued behind the point up to which its lane was handed out', function()
      bring_back(id, record, 'front')
    end)
  elseif record.ttl and not record.expires_at then
    report('index-differs', id, 'it has a ttl, and no deadline', function()
      start_ttl(id, record.entry, record.ttl)
    end)
  elseif record.expires_at then
    return check_deadline(id, record)
  else
    return check_lasting(id, record)
  end
  return true
end

function CHECKS.started(id, record)
  local lane, bare = lane_of(record.entry)
  local words
  if not lane or id_at(lane, bare) ~= id then
    words = 'it is started, and is in no lane'
  else
    local holder = holder_of(lane, bare)
    if not holder then
      words = 'it is started, and pending for no worker'
    elseif holder ~= record.worker then
      words = 'it is started by ' .. (record.worker or 'nobody') .. ', and pending for ' .. holder
    end
  end
  if not words then
    return check_lasting(id, record)
  end
  report('run-without-holder', id, words, function()
    bring_back(id, record, 'front')
  end)
  return true
end

function CHECKS.deferred(id, record)
  local sole = sole_parent(redis.call('HGET', job .. id, 'parents'))
  if not score(deferred, id) then
    report('job-without-index', id, 'it is deferred, and the index of such jobs does not list it', function()
      redis.call('ZADD', deferred, record.created_at or now, id)
    end)
  elseif record.deferred_ttl and (not record.expires_at or score(deferred .. ':until', id) ~= record.expires_at) then
    local deadline = record.expires_at or now + record.deferred_ttl
    report('index-differs', id, 'it has a deferred_ttl, and its deadline is not where a claim looks for it', function()
      redis.call('ZADD', deferred .. ':until', deadline, id)
      redis.call('HSET', job .. id, 'expires_at', deadline)
      redis.call('HSET', lanes, 'follows', '1')
    end)
  elseif sole then
    return check_edge(id, sole) or check_lasting(id, record)
  elseif redis.call('EXISTS', open .. id) == 0 then
    report('job-without-index', id, 'it is deferred, and waits for no job', function()
      release(id)
    end)
  else
    return check_lasting(id, record)
  end
  return true
end

function checks.job(_, id)
  if not has_type(job .. id, 'hash') or not has_type(attempts .. id, 'list', true) then
    return
  end
  local length = redis.call('LLEN', attempts .. id)
  local record = read_record(id)
  local status = record.status or ''
  if length > (record.fence or 0) then
    record.unreadable = record.unreadable or 'fence' -- each run of a history had a fence of its own
  end
  if not NEXT[status] or not record.func then
    local lacks = NEXT[status] and 'it names no function' or 'its status is none that there is: ' .. status
    report('record-unreadable', id, lacks, function()
      give_up(id, record)
    end)
  elseif record.unreadable then
    report('field-unreadable', id, 'its field ' .. record.unreadable .. ' is missing, or no number that it can be',
      function()
        mend_field(id, record)
      end)
  elseif not (CHECKS[status] or check_ended)(id, record) and not check_callbacks(id, record.after)
    and not check_takes(id, record) and not check_tags(id, record) then
    check_history(id, record, length)
  end
end
