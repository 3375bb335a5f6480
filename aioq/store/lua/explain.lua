-- explain: what keeps a job from running, or how it ended, as facts. values/explaining.py makes sentences of them.
-- KEYS: main front leases paused suspended retry_budget job attempts
-- ARGV: id nonce exact most minutes_back most_rows
-- SAYS: ok gone
-- MAKES: gone open children minutes audit
-- NEEDS: now read lanes lane_of late entries delivered tombstone_of sole_parent
-- exact: up to so many jobs ahead of it in its lane are counted; if there are more, the reply has the entries between
-- which it stands, so that the caller can estimate. most: so many workers and parents are told. minutes_back: so many
-- minutes before this one are read, to know how fast jobs begin. most_rows: so many rows of the audit are searched for who
-- has ended the job.
-- ok brings the clock, some fields of the record, and facts as names and values in turn. None of them is the call, a result
-- or a traceback. gone brings the clock, whether the job went so lately that its enqueue may be sent again, and the rows
-- of the audit that name it.
-- Its work is bounded, however much waits. A fact that a state does not need is not read.

exact, most, minutes_back, most_rows = tonumber(exact), tonumber(most), tonumber(minutes_back), tonumber(most_rows)
local LONGEST = 16384 -- bytes of a field; of an error its first line tells enough

-- Of some rows of the audit those that name the job, each with its moment.
local function acts_in(found)
  local told, name = {}, cjson.encode(id)
  for i = 1, #found, 2 do
    if string.find(string.match(found[i], '^[^\n]*'), name, 1, true) then
      told[#told + 1] = found[i]
      told[#told + 1] = found[i + 1]
    end
  end
  return told
end
if redis.call('EXISTS', job .. id) == 0 then
  local acts = acts_in(redis.pcall('ZRANGE', audit, 0, most_rows - 1, 'REV', 'WITHSCORES'))
  return {'gone', now, redis.call('EXISTS', tombstone_of(id, nonce)), acts}
end

local NAMES = {
  'status', 'func', 'opts', 'entry', 'lane', 'fence', 'uncounted', 'deliveries', 'deaths', 'worker', 'created_at',
  'enqueued_at', 'due_at', 'expires_at', 'started_at', 'ended_at', 'ttl', 'failure_ttl', 'start_by', 'repeats', 'error',
  'reason', 'waited_for', 'parents',
}
local known, fields, facts = {}, {}, {}
local function put(list, name, value)
  list[#list + 1] = name
  list[#list + 1] = value
end
local function first_line(text) return string.match(text, '^[^\n]*') end
for i, value in ipairs({peek(id, unpack(NAMES))}) do
  local name = NAMES[i]
  known[name] = value
  if value then
    local is_line = name == 'error' and string.sub(value, 1, 1) == '{'
    put(fields, name, string.sub(is_line and first_line(value) or value, 1, LONGEST))
  end
end
local status = known.status
if is_late(status, known.expires_at) then
  status = 'expired'
  put(fields, 'status', status)
  put(fields, 'ended_at', known.expires_at)
end

-- Whatever is stored there, the queue is paused.
local function tell_pause(name, key)
  if redis.call('EXISTS', key) == 1 then
    local value = redis.pcall('GET', key)
    put(facts, name, {type(value) == 'string' and string.sub(value, 1, LONGEST) or '', redis.call('PTTL', key)})
  end
end
local function tell_workers()
  local names = redis.call('ZRANGE', leases, '(' .. now, '+inf', 'BYSCORE', 'LIMIT', 0, most)
  put(facts, 'workers', {redis.call('ZCOUNT', leases, '(' .. now, '+inf'), names})
  if #names == 0 then
    put(facts, 'last_lease', redis.call('ZRANGE', leases, now, '(0', 'BYSCORE', 'REV', 'LIMIT', 0, 1, 'WITHSCORES'))
  end
end
-- The last run that did not end the job: how it ended, on which worker, and when.
local function tell_last_run()
  local rows = redis.pcall('LRANGE', attempts .. id, -1, -1)
  local is_row, row = pcall(cjson.decode, first_line(not rows.err and rows[1] or ''))
  if is_row and type(row) == 'table' then
    local told = {}
    for _, name in ipairs({'outcome', 'worker', 'ended_at', 'error'}) do
      told[#told + 1] = type(row[name]) == 'string' and string.sub(first_line(row[name]), 1, LONGEST) or ''
    end
    put(facts, 'last_run', told)
  end
end

-- Where a queued job stands: how many wait in the lanes that are served before its own, and in that one between the first
-- entry that waits and its own.
local function tell_place()
  local name, entry = lane_of(known.entry or '')
  if not entry then
    return
  end
  local before = 0
  for _, other in ipairs(SERVED) do
    if other == name then
      break
    elseif RARE[other] ~= 'quarantine' then -- those jobs take nobody's turn
      before = before + math.max(0, (sizes(other)))
    end
  end
  local lane, last = LANES[name], last_delivered(name)
  local rows = redis.call('XRANGE', lane, last and '(' .. last or '-', entry, 'COUNT', exact + 1)
  local is_listed = #redis.call('XRANGE', lane, entry, entry)
  local newest = redis.call('XREVRANGE', lane, '+', '-', 'COUNT', 1)[1]
  put(facts, 'place', {
    name, entry, is_listed, before, #rows, rows[#rows] and rows[#rows][1] or '', newest and newest[1] or '',
    (sizes(name)),
  })
end

-- How fast jobs begin: what is counted of the last minutes, this one first.
local function tell_lately()
  local told, keys, names = {}, {}, {}
  for back = 0, minutes_back do
    local at = now - back * 60000
    local key = minutes .. string.format('%.0f', math.floor(at / 3600000))
    if not names[key] then
      keys[#keys + 1] = key
      names[key] = {}
    end
    names[key][#names[key] + 1] = string.format('%.0f', math.floor(at % 3600000 / 60000))
  end
  for _, key in ipairs(keys) do
    local words = redis.pcall('HMGET', key, unpack(names[key]))
    for i = 1, #names[key] do
      told[#told + 1] = words[i] and string.sub(words[i], 1, LONGEST) or ''
    end
  end
  put(facts, 'lately', told)
end
-- Who has ended the job: a script writes the row at the moment of the end, and one of an act that goes on comes later.
local function tell_acts()
  put(facts, 'acts', acts_in(redis.pcall(
    'ZRANGE', audit, number(known.ended_at, now), '+inf', 'BYSCORE', 'LIMIT', 0, most_rows, 'WITHSCORES'
  )))
end

-- The jobs that a deferred job waits for, as far as this queue knows them: each with its state, and how many of its children
-- have not finished.
local function tell_parents()
  local sole, told = sole_parent(known.parents), {}
  local names = sole and {sole} or redis.call('SSCAN', open .. id, 0, 'COUNT', most)[2]
  for i = 1, math.min(#names, most) do
    local name, state, unfinished = names[i], '', 0
    if not string.find(name, '@', 1, true) then
      local stored, expires_at, after = peek(name, 'status', 'expires_at', 'after')
      state = is_late(stored, expires_at) and 'expired' or stored or 'gone'
      if after and string.find(' ' .. after .. ' ', ' children ', 1, true) then
        unfinished = redis.call('ZCOUNT', children .. name, '-inf', 1)
      end
    end
    told[#told + 1] = {name, state, unfinished}
  end
  put(facts, 'parents', {sole and 1 or redis.call('SCARD', open .. id), told})
end

-- A state that is added needs its facts here, and its sentences in values/explaining.py. That of a job which a limit holds
-- back tells the key of the limit, and how many wait for it.
local TELL = {
  queued = function()
    tell_place()
    tell_lately()
  end,
  canceled = tell_acts,
  stopped = tell_acts,
  deferred = tell_parents,
  started = function()
    put(facts, 'lease', redis.call('ZSCORE', leases, known.worker or ''))
  end,
  scheduled = function()
    local values = redis.pcall('HMGET', retry_budget, 'limit', 'per', 'at_once', 'spent_until')
    if not values.err then
      put(facts, 'budget', values)
    end
  end,
}
tell_pause('paused', paused)
tell_pause('suspended', suspended)
tell_workers()
if known.fence then
  tell_last_run()
end
if TELL[status] then
  TELL[status]()
end
return {'ok', now, fields, facts}
