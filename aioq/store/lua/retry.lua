-- retry: started jobs whose function raised, or asked for it, and which get another attempt, at once or after a pause.
-- KEYS: main front wake scheduled expiring job attempts retry_budget
-- ARGV: expired_ttl jobs...
-- SAYS: ok
-- NEEDS: now read wake lane schedule holds history callback_words
-- A job is: id, fence, error, delay (ms), words. Most have no words. lane=<name>: it does not go to the main lane.
-- asked: its function asked for another attempt, so this one has not failed. within=<ms>: no attempt begins later than
-- that after the first one has begun. Time for which the queue's budget holds a job back does not count there.
-- Returns position (from 0) and verdict of each job that was not recorded: stale or gone.

expired_ttl = tonumber(expired_ttl)

local run, refused, afters = judge(ARGV, jobs, 5)
local retried = {}
-- A queue without a budget costs this call one question.
local rate = #run > 0 and redis.pcall('HMGET', retry_budget, 'limit', 'per', 'at_once', 'spent_until')
local budget
if rate and not rate.err and rate[1] then
  local function open_budget()
    -- NEEDS: more/retry_budget
    return read_budget(rate)
  end
  budget = open_budget()
end

local function set_deadline(id, within, held_ms)
  local first, started = peek(id, 'first_started_at', 'started_at')
  first = number(first, number(started, now))
  redis.call('HSET', job .. id, 'first_started_at', first, 'start_by', first + within + held_ms)
end

for _, at in ipairs(run) do
  local id, error, delay, words, lane = ARGV[at], ARGV[at + 2], tonumber(ARGV[at + 3]), ARGV[at + 4], ''
  local outcome, held_ms = 'failed', budget and budget.take() or 0
  delay = delay + held_ms
  if words ~= '' then
    local within = string.match(words, 'within=(%d+)')
    lane = string.match(words, 'lane=(%l+)') or ''
    outcome = string.find(words, 'asked', 1, true) and 'retried' or outcome
    if within then
      set_deadline(id, tonumber(within), held_ms)
    end
  end
  retried[#retried + 1] = has_callback(afters[at], 'on_retry') and id or nil
  archive(id, outcome, error)
  if delay == 0 then
    redis.call('HSET', job .. id, 'error', error)
    return_to_lane(id, lane)
  else
    redis.call('HSET', job .. id, 'status', 'scheduled', 'error', error, 'due_at', now + delay)
    if lane ~= '' then
      redis.call('HSET', job .. id, 'lane', lane)
    else
      redis.call('HDEL', job .. id, 'lane')
    end
    enter_schedule(id, now + delay)
  end
end
if budget then
  budget.save()
end
if #run > 0 then
  wake_one()
end
if #retried > 0 then
  -- MAKES: finished failed canceled stopped expired
  -- NEEDS: more/callbacks
  for _, id in ipairs(retried) do
    make_callback({id = id, kind = 'on_retry', fields = redis.call('HGETALL', job .. id)})
  end
end
return {'ok', refused}
