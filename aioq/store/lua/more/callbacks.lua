-- callbacks: the callback of a job is a job itself. It is made by the script that ends its job, or that retries it.
-- It carries all that is stored of its job, each field behind `job.`, so it needs nothing of what may go. How it is
-- called stands in a field of its job that has the name of its kind: `<function> <length>`, a line feed, its packed
-- options (so many bytes), and its serialised arguments. A webhook is a callback, too, whose function is aioq's own. All
-- of a job stand in one field, one behind the other: `<kind>,... <length> <length>`, a line feed, options and arguments.
-- NEEDS: now read REGISTRIES wake lane forget own
local MOST = 1000 -- values that one call takes
-- These concern the way of the job through the queue, and nobody who hears of its end.
local OWN = {
  after = true, edition = true, entry = true, lane = true, more = true, nonce = true, repeat_ms = true, waited_for = true,
}
local VALUES = {finished = 'result', failed = 'error'} -- the field that keeps what a job came to

local function set_all(key, values)
  for first = 1, #values, MOST do
    redis.call('HSET', key, unpack(values, first, math.min(first + MOST - 1, #values)))
  end
end
local SENDER = 'aioq.worker.webhook.send' -- values/webhook.py has the same name

-- What is called, of this kind: rows of the end of an id, the function, the packed options and the arguments.
local function read_callback(given)
  local func, length, from = string.match(given, '^(%S+) (%d+)\n()')
  if func then
    return {'', func, string.sub(given, from, from + length - 1), string.sub(given, from + length)}
  end
end
local function read_webhooks(given, kind, found)
  local at, place = 1, 0
  while true do
    local kinds, opts, data, from = string.match(given, '^(%S+) (%d+) (%d+)\n()', at)
    if not kinds then
      return
    end
    local middle = from + opts
    at, place = middle + data, place + 1
    if string.find(',' .. kinds .. ',', ',' .. kind .. ',', 1, true) then
      local row = {'.' .. place, SENDER, string.sub(given, from, middle - 1), string.sub(given, middle, at - 1)}
      found[#found + 1] = row
    end
  end
end
-- Whether there may be a callback with this id. Two ends of a job have the same one if no claim came between them. Then
-- the later one stands for both, unless the first one has not ended yet.
local function is_free(id)
  local status = peek(id, 'status')
  if not status then
    return redis.call('EXISTS', job .. id) == 0
  end
  if not REGISTRIES[status] then
    return false
  end
  leave_registry(id, status)
  redis.call('DEL', keys_of(id))
  return true
end
-- of: an end, or a retry: the id of the job, the kind of callback, and all fields of the job. If its record does not say
-- so, the status, and the value of the result or of the error. known: those fields that callbacks carry, by name.
local function make_one(of, row, known, carried)
  local suffix, func, opts, data = unpack(row)
  local id = of.id .. '.' .. number(known.fence, 0) .. '.' .. of.kind .. suffix
  if not is_free(id) then
    return
  end
  local entry = enter_lane('callbacks', id)
  local fields = {'status', 'queued', 'created_at', now, 'entry', entry, 'func', func, 'opts', opts, 'more', '1'}
  local function add(name, value)
    fields[#fields + 1] = name
    fields[#fields + 1] = value
  end
  if data ~= '' then
    add('data', data)
  end
  if known.failure_ttl then
    add('failure_ttl', known.failure_ttl)
  end
  set_all(job .. id, fields)
  set_all(job .. id, carried)
  if of.status and known.status ~= of.status then -- its record has gone
    redis.call('HSET', job .. id, 'job.status', of.status, 'job.ended_at', now)
  end
  if of.value and VALUES[of.status] then
    redis.call('HSET', job .. id, 'job.' .. VALUES[of.status], of.value)
  end
end
local function make_callback(of)
  local carried, known, rows, webhooks = {}, {}, {}, nil
  for i = 1, #of.fields, 2 do
    local name, value = of.fields[i], of.fields[i + 1]
    if name == of.kind then
      rows[#rows + 1] = read_callback(value)
    elseif name == 'webhooks' then
      webhooks = value
    elseif not OWN[name] and not string.find(name, '^on_%l+$') then
      known[name] = value
      carried[#carried + 1] = 'job.' .. name
      carried[#carried + 1] = value
    end
  end
  read_webhooks(webhooks or '', of.kind, rows)
  for _, row in ipairs(rows) do
    make_one(of, row, known, carried)
  end
end
local function make_callbacks(all)
  for _, of in ipairs(all) do
    make_callback(of)
  end
  wake_one()
end
