-- requeue: bring jobs that ended without a result back to their queue.
-- KEYS: main front wake scheduled expiring job attempts registries
-- ARGV: only lane reset with_dependents expired_ttl call repeat_ms ids...
-- SAYS: ok
-- MAKES: done
-- NEEDS: read allows late wake lane leave stale receipt revive retake
-- only: a status that the jobs must have, or ''. lane: '' for the main one. reset 1: the attempts and deliveries are
-- counted anew. with_dependents 1: with a job come those that its end had ended, and wait for it again.
-- Returns for each id: ok, gone, or the status that does not allow it; and the names of the dependents that the ends of these
-- jobs had ended, at most as many as one script decides, each with the state that it has now ('': it is of another queue).
-- A registry that lists a job which is gone, or is in another state, lists it no longer.

local sent_before = receipt()
if sent_before then
  return sent_before
end
local verdicts, moved, revived, has_ends = {}, {}, {}, with_dependents == '1'
expired_ttl = tonumber(expired_ttl)

local function bring_back(id, status, fence, after, parents, edition)
  revive(id, status)
  redis.call('HDEL', job .. id, 'due_at')
  if reset == '1' then
    redis.call('HSET', job .. id, 'uncounted', number(fence, 0))
    redis.call('HDEL', job .. id, 'deliveries', 'deaths', 'is_alone')
  end
  if takes_results(parents) then
    -- A row that lets go of the results, as of its end, may be under way.
    redis.call('HSET', job .. id, 'edition', number(edition, 0) + 1)
    after = take_again(id, parents, after)
  end
  return_to_lane(id, lane)
  if after then
    return_member(id, after)
    has_ends = has_ends or string.find(' ' .. after .. ' ', ' ended ', 1, true) ~= nil
  end
  moved[#moved + 1] = id
  moved[#moved + 1] = status
  revived[#revived + 1] = id
end

-- Of one whose deferred_ttl is over, and nobody has seen that.
local function stop_waiting(id)
  -- MAKES: deferred open sources
  -- NEEDS: deferred
  leave_deferred(id, true)
  redis.call('DEL', open .. id)
  flush_deferred()
end

-- What the ends of jobs have meant to their dependents is taken back, if that is wanted; else it is forgotten. Returns the
-- names of the dependents that were ended, each with the state that it has now; '' for one of another queue.
local function take_ends_back()
  -- MAKES: gone ended_by undecided
  -- NEEDS: doors/follow ended_by
  told = {}
  for i = 1, #moved, 2 do
    local id, status = moved[i], moved[i + 1]
    local after = peek(id, 'after')
    if with_dependents == '1' then
      redis.call('ZREM', undecided, id .. ' ' .. status) -- those that it has not come to yet wait on
    end
    if has_ended_others(after) and take_back(id, after, with_dependents == '1') then
      decide_later(id, 'again')
    end
  end
  flush_ends()
  local found = {}
  for i, name in ipairs(told) do
    found[2 * i - 1] = name
    found[2 * i] = string.find(name, '@', 1, true) and '' or peek(name, 'status') or 'gone'
  end
  return found
end

for i = ids, #ARGV do
  local id = ARGV[i]
  local stored, fence, expires_at, entry, after, parents, edition =
    peek(id, 'status', 'fence', 'expires_at', 'entry', 'after', 'parents', 'edition')
  local status, verdict = is_late(stored, expires_at) and 'expired' or stored, 'ok'
  if not status then
    leave_indexes(id)
    verdict = 'gone'
  elseif not allows(status, 'requeue') or only ~= '' and only ~= status then
    leave_other_registries(id, status)
    verdict = status
  else
    if stored == 'queued' then
      leave_lane(entry)
      redis.call('ZREM', expiring, id .. ' ' .. (entry or ''))
    elseif stored == 'deferred' then
      stop_waiting(id)
    end
    bring_back(id, status, fence, after, parents, edition)
  end
  verdicts[#verdicts + 1] = verdict
end
flush_lanes()
if #moved == 0 then
  return {'ok', verdicts, {}}
end
wake_one()
return keep_receipt({'ok', verdicts, has_ends and take_ends_back() or {}}, revived)
