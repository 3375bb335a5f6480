-- fingerprints: a failed job is listed under its fingerprint as long as its registry lists it, and nothing else is.
-- NEEDS: now read finding fingerprint

-- goes: when the job's retention is over, as its registry says; nothing: it is kept for ever.
local function check_fingerprint(id, record, goes)
  -- NEEDS: more/fingerprints
  local f, error = peek(id, 'fingerprint', 'error')
  local listed = f and score(alike .. f, id)
  local words
  if not listed then
    words = 'it has failed, and stands under no fingerprint'
  elseif not (listed == math.huge and not goes or goes and is_near(listed, goes)) then
    words = 'its fingerprint and its registry name two moments at which it is forgotten'
  end
  if not words then
    return
  end
  report('fingerprint-differs', id, words, function()
    redis.call('HSET', job .. id, 'fingerprint', f or fingerprint_of(id, error or ''))
    list_failures({id, goes or '+inf', record.ended_at})
  end)
  return true
end

function checks.fingerprinted(_, f)
  if score(fingerprints, f) and redis.call('EXISTS', fingerprint .. f) == 0 then
    report('fingerprint-differs', f, 'a fingerprint is listed, and nothing is known of it', function()
      redis.call('ZREM', fingerprints, f)
    end)
  end
end

function checks.fingerprint(_, f)
  -- NEEDS: more/fingerprints
  local key = fingerprint .. f
  if has_type(key, 'hash') and redis.call('EXISTS', key) == 1 and not score(fingerprints, f) then
    report('fingerprint-differs', f, 'a fingerprint is on no list', function()
      redis.call('ZADD', fingerprints, '+inf', f)
      settle_fingerprint(f)
    end)
  end
end

function checks.alike(_, f)
  -- NEEDS: more/fingerprints
  local SOME = 100 -- jobs that are looked at; over time, all of them
  local key = alike .. f
  if not has_type(key, 'zset') then
    return
  end
  if redis.call('EXISTS', key) == 1 and redis.call('EXISTS', fingerprint .. f) == 0 then
    local id = redis.call('ZRANGE', key, 0, 0)[1]
    report('fingerprint-differs', f, 'jobs stand under a fingerprint of which nothing is known', function()
      tell_of_failure(f, id, number(peek(id, 'ended_at'), now))
      settle_fingerprint(f)
    end)
    return
  end
  for _, id in ipairs(redis.call('ZRANDMEMBER', key, SOME)) do
    local is_readable, status, known = look(id, 'fingerprint')
    local goes = score(key, id)
    -- One without a record is no damage: the next sweep drops it, as a registry's.
    if is_readable and status and (goes or 0) > now + SLACK and not (status == 'failed' and known == f) then
      report('fingerprint-differs', id, 'it stands under the fingerprint ' .. f .. ', and is ' .. status, function()
        redis.call('ZREM', key, id)
        settle_fingerprint(f)
      end)
    end
  end
end
