-- rewind: a job that ended in the future, because the server's clock was set back since, counts as ended now.
-- Otherwise it would be kept for longer than it should be. And the next job that ends gives the registry a life that is
-- counted from now, so the registry would go before such a job, which would then be in no list.
-- NEEDS: now read spare usual own
local function end_now(id, key, until_key, left)
  -- This takes nothing out. It is a write that is not refused when memory is full, and then the others are not either.
  redis.call('ZREM', key, '')
  redis.call('ZADD', key, now, id)
  if until_key then
    redis.call('ZADD', until_key, now + left, id)
  end
  if redis.call('EXISTS', job .. id) == 1 then
    redis.call('HSET', job .. id, 'ended_at', now)
    if left then
      keep_record(id, left)
    end
    local f = peek(id, 'fingerprint')
    if f and left then
      -- MAKES: alike
      redis.call('ZADD', alike .. f, 'XX', now + left, id)
    end
  end
end
local function rewind(registry, limit)
  local usual, life = registry .. ':usual', usual_life(registry)
  local next_ms = string.format('%.0f', now + 1) -- behind the point of a score stands the place within its ms
  local early = redis.call('ZRANGEBYSCORE', usual, next_ms, '+inf', 'LIMIT', 0, limit)
  for _, id in ipairs(early) do
    end_now(id, usual, nil, life)
  end
  if #early > 0 then
    redis.call('PEXPIRE', usual, life + SPARE)
  end
  local own = redis.call('ZRANGEBYSCORE', registry, next_ms, '+inf', 'WITHSCORES', 'LIMIT', 0, limit)
  for i = 1, #own, 2 do
    local id, ended_at = own[i], math.floor(tonumber(own[i + 1]))
    local last = redis.call('ZSCORE', registry .. ':until', id)
    if last then
      end_now(id, registry, registry .. ':until', math.max(1, tonumber(last) - ended_at))
    else
      end_now(id, registry) -- it is kept for ever
    end
  end
  return math.max(#early, #own / 2)
end
