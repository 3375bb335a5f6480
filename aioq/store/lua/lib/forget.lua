-- forget: take a job out of a registry, in whichever of its indexes the job stands.
-- NEEDS: REGISTRIES spare read
local function leave_registry(id, status)
  local registry = REGISTRIES[status]
  if not registry then
    return
  end
  if status == 'failed' then
    -- MAKES: fingerprints fingerprint alike
    -- NEEDS: more/fingerprints
    unlist_failure(id)
  end
  redis.call('ZREM', registry .. ':usual', id)
  if redis.call('ZREM', registry, id) == 0 then
    return
  end
  local companion = registry .. ':until'
  if redis.call('ZREM', companion, id) == 0 and redis.call('ZCARD', registry) == redis.call('ZCARD', companion) then
    -- It was the last one that was kept for ever: now the registry goes when its other members are forgotten.
    local last = number(redis.call('ZRANGE', companion, -1, -1, 'WITHSCORES')[2])
    if last then -- else there is none, or it is no moment, and the doctor puts it right
      redis.call('PEXPIREAT', registry, last + SPARE)
      redis.call('PEXPIREAT', companion, last + SPARE)
    end
  end
end
