-- rewind: a job that ended in the future, because the server's clock was set back since, counts as ended now.
-- Otherwise it would be kept for longer than it should be. And the next job that ends gives the registry a life that is
-- counted from now, so the registry would go before such a job, which would then be in no list.
local function end_now(id, key, until_key, left)
  redis.call('PEXPIRE', job .. id, left) -- not refused when memory is full, and then neither is what follows
  redis.call('PEXPIRE', attempts .. id, left)
  redis.call('ZADD', key, 'XX', now, id)
  if until_key then
    redis.call('ZADD', until_key, 'XX', now + left, id)
  end
end
local function rewind(registry, limit)
  local usual, life = registry .. ':usual', usual_life(registry)
  local early = redis.call('ZRANGEBYSCORE', usual, '(' .. now, '+inf', 'LIMIT', 0, limit)
  for _, id in ipairs(early) do
    end_now(id, usual, nil, life)
  end
  if #early > 0 then
    redis.call('PEXPIRE', usual, life)
  end
  local own = redis.call('ZRANGEBYSCORE', registry, '(' .. now, '+inf', 'WITHSCORES', 'LIMIT', 0, limit)
  for i = 1, #own, 2 do
    local id, ended_at = own[i], tonumber(own[i + 1])
    local last = redis.call('ZSCORE', registry .. ':until', id)
    if last then
      end_now(id, registry, registry .. ':until', math.max(1, tonumber(last) - ended_at))
    else
      redis.call('PERSIST', job .. id) -- it is kept for ever, so this changes nothing; it is for full memory, as above
      redis.call('ZADD', registry, 'XX', now, id)
    end
  end
  return math.max(#early, #own / 2)
end
