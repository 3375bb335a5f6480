-- sweep: take ids whose retention has passed out of the registries (the jobs themselves are gone already).
-- KEYS: wake job attempts registries
-- ARGV: chunk
-- SAYS: ok
-- MAKES: main front gone groups group dependents ended_by outbox fingerprints fingerprint alike tags tag
-- NEEDS: now read REGISTRIES FINAL usual forget rewind own outlive outbox keep doors/follow remove_job more/takers more/fingerprints more/tags edge_scores
-- A record on which jobs depend that wait for a finish does not go by itself; it goes here, and its dependents are decided. As
-- long as a job takes its result, it stays for some time more.
-- Jobs that ended in the future, by a clock that was set back since, count as ended now.
-- Returns how many were taken out, or set right; a full chunk means that there may be more. And the groups to which somebody
-- has begun to add members, and has not gone on in time.

local TAKERS = 100 -- jobs that take a result which are looked at: if one of them has not ended, that is enough
local LONGER = 30000 -- ms for which a record stays that is taken
local STRAYS = 20 -- members of each registry that are looked at: over time, all of them
local swept, indexes, overdue = 0, {groups, fingerprints, tags}, {}
-- Whether jobs take what became of this one. A row of one that has ended is left by a call that never came.
local function has_takers(id, score)
  local key = dependents .. id
  for _, taker in ipairs(redis.call('ZRANGEBYSCORE', key, score, score, 'LIMIT', 0, TAKERS)) do
    if string.find(taker, '@', 1, true) then
      put_row('decide', taker, id, score, 'waits') -- whoever carries that hears whether it has ended
      tell_outbox()
    else
      local status = peek(taker, 'status')
      if not status or FINAL[status] then
        redis.call('ZREM', key, taker)
      end
    end
  end
  return redis.call('ZCOUNT', key, score, score) > 0
end
-- Those that wait for its children still will take its result, too: see lib/children.lua.
local function is_taken(id, after)
  if has_takers(id, TAKER) then
    return true
  elseif is_wanted(after) and string.find(' ' .. after .. ' ', ' children ', 1, true) then
    for score = (peek(id, 'status') == 'finished' and 0 or 1) + TAKES, 3 + TAKES do
      if has_takers(id, score) or has_takers(id, score + SOLE) then
        return true
      end
    end
  end
  return false
end
-- The server removes a key that has run out some time later, or at once if it is looked at. A record that was still there
-- when the clock is set back would live again, in no registry.
local function expire_records(ids, registry)
  for _, id in ipairs(ids) do
    local after = redis.call('EXISTS', keys_of(id)) > 0 and peek(id, 'after')
    if has_dependents(after) then
      if is_taken(id, after) then
        keep(registry, id, LONGER, number(peek(id, 'ended_at'), now))
      else
        remove_job(id, 'gone', after)
      end
    end
  end
end
-- What lists jobs by when their retention is over, and drops them then: fingerprints and tags. index: all their names.
-- Jobs without a record are listed no longer, either.
local function sweep_listed(index, beginning, settle)
  for _, name in ipairs(redis.call('ZRANDMEMBER', index, STRAYS)) do
    local key = beginning .. name
    local gone = redis.call('ZRANGEBYSCORE', key, '-inf', '(' .. now, 'LIMIT', 0, chunk)
    for _, id in ipairs(redis.call('ZRANDMEMBER', key, 5)) do
      if redis.call('EXISTS', job .. id) == 0 then
        gone[#gone + 1] = id
      end
    end
    -- Most have nothing to settle, so an idle worker's sweep writes nothing.
    if #gone > 0 or tonumber(redis.call('ZSCORE', index, name)) <= now or redis.call('EXISTS', key) == 0 then
      redis.call('ZREM', key, '', unpack(gone)) -- not refused when memory is full, and then neither is what follows
      settle(name)
    end
  end
end
chunk = tonumber(chunk)
for _, registry in pairs(REGISTRIES) do
  indexes[#indexes + 1] = registry
  indexes[#indexes + 1] = registry .. ':usual'
  indexes[#indexes + 1] = registry .. ':until'
end
if redis.call('EXISTS', unpack(indexes)) == 0 then
  return {'ok', 0, overdue} -- an idle worker of an empty queue sweeps, too
end
for _, g in ipairs(redis.call('ZRANGEBYSCORE', groups, 0, '(' .. now, 'LIMIT', 0, chunk)) do
  if redis.call('EXISTS', group .. g) == 0 then
    redis.call('ZREM', groups, g)
  end
end
overdue = redis.call('ZRANGEBYSCORE', groups, -now, '(0', 'LIMIT', 0, chunk) -- see more/groups.lua
for _, registry in pairs(REGISTRIES) do
  local over = redis.call('ZRANGEBYSCORE', registry .. ':until', '-inf', '(' .. now, 'LIMIT', 0, chunk)
  if #over > 0 then
    expire_records(over, registry)
    redis.call('ZREM', registry, unpack(over))
    redis.call('ZREM', registry .. ':until', unpack(over))
    swept = math.max(swept, #over)
  end
  local count = redis.call('ZCOUNT', registry .. ':usual', '-inf', '(' .. (now - usual_life(registry)))
  if count > 0 then
    expire_records(redis.call('ZRANGE', registry .. ':usual', 0, math.min(count, chunk) - 1), registry)
    swept = math.max(swept, redis.call('ZREMRANGEBYRANK', registry .. ':usual', 0, math.min(count, chunk) - 1))
  end
  swept = math.max(swept, rewind(registry, chunk))
end
sweep_listed(fingerprints, alike, settle_fingerprint)
sweep_listed(tags, tag, settle_tag)
-- A job that was evicted, or removed by hand, has left its id behind.
for status, registry in pairs(REGISTRIES) do
  for _, index in ipairs({registry, registry .. ':usual'}) do
    for _, id in ipairs(redis.call('ZRANDMEMBER', index, STRAYS)) do
      if redis.call('EXISTS', job .. id) == 0 then
        leave_registry(id, status)
      end
    end
  end
end
flush_kept()
flush_ends()
return {'ok', swept, overdue}
