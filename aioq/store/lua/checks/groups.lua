-- groups: each is listed, and ends when its members have ended, which are there and know of it. Members of other queues are
-- out of reach here: what is to be told of them stands in their outbox.
-- NEEDS: now FINAL read finding more/groups
local LOOKED_AT = 100 -- of the members: over time, all of them

local function check_members(g)
  local total = redis.call('LLEN', members .. g)
  local from = total > LOOKED_AT and (now * 7919) % total or 0
  for i, id in ipairs(redis.call('LRANGE', members .. g, from, from + LOOKED_AT - 1)) do
    local place = from + i - 1
    local word = 'group=' .. g .. '/' .. place
    if not string.find(id, '@', 1, true) and redis.call('GETBIT', over .. g, place) == 0 then
      local is_readable, status, after = look(id, 'after')
      if is_readable and not status then
        report('member-gone', id, 'it is an open member of group ' .. g .. ', and has no record', function()
          leave_group(g, {place, 'gone'})
        end)
      elseif is_readable and FINAL[status] then
        report('member-untold', id, 'it is ' .. status .. ', and group ' .. g .. ' counts it as open', function()
          leave_group(g, {place, status})
        end)
      elseif is_readable and not string.find(' ' .. (after or '') .. ' ', ' ' .. word .. ' ', 1, true) then
        report('member-untold', id, 'group ' .. g .. ' would not hear of its end', function()
          redis.call('HSET', job .. id, 'after', after and after .. ' ' .. word or word)
          redis.call('PERSIST', job .. id)
        end)
      end
    end
  end
end

function checks.group(_, g)
  if not has_type(group .. g, 'hash') or not has_type(members .. g, 'list', true) or not has_type(over .. g, 'string', true)
  then
    return
  end
  local ended_at, kept_ms = unpack(redis.call('HMGET', group .. g, 'ended_at', 'kept_ms'))
  local left, kept = redis.call('PTTL', group .. g), number(kept_ms, 0)
  if not score(groups, g) then
    report('group-unlisted', g, 'it is not in the list of groups', function()
      list_group(g, ended_at and kept >= 0 and number(ended_at, now) + kept or math.huge)
      end_if_over(g)
    end)
  elseif not ended_at and left ~= -1 then
    report('unwanted-retention', g, 'the group has not ended, and would be gone in ' .. math.ceil(left / 1000) .. ' s',
      function()
        persist(g)
      end)
  elseif ended_at and kept >= 0 and left == -1 then
    report('no-retention', g, 'the group has ended, and would stay for ever', function()
      expire_group(g, kept)
    end)
  elseif not ended_at and not filled_until(redis.call('HGETALL', group .. g)) then
    if redis.call('BITCOUNT', over .. g) >= redis.call('LLEN', members .. g) then
      report('group-not-ended', g, 'all its members have ended', function()
        end_if_over(g)
      end)
    else
      check_members(g)
    end
  end
end

-- name: of the group, and what more the key has.
function checks.group_part(beginning, name)
  local key, left = beginning .. name, redis.call('PTTL', beginning .. name)
  if redis.call('EXISTS', key) == 0 or redis.call('EXISTS', group .. string.match(name, '^[^/]*')) == 1
    or left ~= -1 and left <= SLACK
  then
    return
  end
  report('group-part-alone', key, 'it is of no group', function()
    redis.call('DEL', key)
  end)
end

function checks.listed_group(_, g)
  local goes = score(groups, g)
  if goes and (goes < 0 or goes > now + SLACK) and redis.call('EXISTS', group .. g) == 0 then
    report('index-without-job', g, 'it is in the list of groups, and has no record', function()
      redis.call('ZREM', groups, g)
    end)
  end
end
