-- requeue: bring jobs that ended without a result back to their queue.
-- KEYS: main front wake scheduled expiring job attempts registries
-- ARGV: only lane reset expired_ttl call repeat_ms ids...
-- SAYS: ok
-- MAKES: done
-- NEEDS: read allows late wake lane leave forget stale history receipt own
-- only: a status that the jobs must have, or ''. lane: '' for the main one. reset 1: the attempts and deliveries are
-- counted anew. What is known of the last run moves to the history, and the retention that it had is taken off. Returns
-- for each id: ok, gone, or the status that does not allow it. A registry that lists a job which is gone, or is in another
-- state, lists it no longer.

local sent_before = receipt()
if sent_before then
  return sent_before
end
local verdicts, moved = {}, false
expired_ttl = tonumber(expired_ttl)

-- The job takes the results of others again, as far as they are there.
local function take_again(id, parents, after)
  -- MAKES: dependents outbox
  -- NEEDS: outlive outbox more/takers
  each_taken(parents, function(parent, is_elsewhere)
    if is_elsewhere then
      put_row('depend', parent, TAKER, id)
      tell_outbox()
    elseif redis.call('EXISTS', job .. parent) == 1 then
      redis.call('ZADD', dependents .. parent, TAKER, id)
      outlive(parent, true)
    end
  end)
  if not after or not string.find(' ' .. after .. ' ', ' takes ', 1, true) then -- a late one has it still
    after = after and after .. ' takes' or 'takes'
    redis.call('HSET', job .. id, 'after', after)
  end
  return after
end

local function bring_back(id, status, fence, after, parents)
  leave_registry(id, status)
  archive(id, status)
  clear_run(id)
  redis.call('HDEL', job .. id, 'error', 'expires_at', 'due_at', 'first_started_at', 'start_by')
  keep_record(id, -1)
  if reset == '1' then
    redis.call('HSET', job .. id, 'uncounted', number(fence, 0))
    redis.call('HDEL', job .. id, 'deliveries', 'deaths', 'is_alone')
  end
  if parents and string.find(',' .. parents, ',%u') then
    after = take_again(id, parents, after)
  end
  return_to_lane(id, lane)
  if after then
    -- MAKES: gone groups group members over sequel outbox
    -- NEEDS: more/groups
    local g, place, home, edition = string.match(' ' .. after, ' group=([^%s/]+)/(%d+)([^%s#!]*)#?(%d*)')
    if g and home == '' then
      return_to_group(g, place)
    elseif g then
      -- What another queue is told may come late, or in another order; so it is told of which edition it is.
      local next_one = number(edition, 0) + 1
      after = string.gsub(after, 'group=[^%s]+', 'group=' .. g .. '/' .. place .. home .. '#' .. next_one)
      redis.call('HSET', job .. id, 'after', after)
      send_to_group(g .. home .. '#' .. next_one, {place, 'open'})
    end
  end
  moved = true
end

for i = ids, #ARGV do
  local id = ARGV[i]
  local stored, fence, expires_at, entry, after, parents =
    peek(id, 'status', 'fence', 'expires_at', 'entry', 'after', 'parents')
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
    end
    bring_back(id, status, fence, after, parents)
  end
  verdicts[#verdicts + 1] = verdict
end
flush_lanes()
if not moved then
  return {'ok', verdicts}
end
wake_one()
return keep_receipt({'ok', verdicts})
