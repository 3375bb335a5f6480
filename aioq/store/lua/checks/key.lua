-- key: a key has the type that it must have, and goes when it is to go.
-- NEEDS: now read usual finding own
function checks.type(expected, key)
  has_type(key, expected)
end
function checks.unknown(_, key)
  if redis.call('EXISTS', key) == 1 then
    report('unknown-key', key, 'it is a ' .. redis.call('TYPE', key).ok .. ', and nothing of the queue has that name')
  end
end

-- A registry and its companion live as long as the member that is kept the longest; nothing for one that is empty.
local FOREVER = math.huge
local function needed_life(key)
  local ending = string.sub(key, -6)
  if ending == ':usual' then
    local last = redis.call('ZRANGE', key, -1, -1, 'WITHSCORES')[2]
    return last and math.floor(tonumber(last)) + usual_life(string.sub(key, 1, -7)) - now
  end
  local registry = ending == ':until' and string.sub(key, 1, -7) or key
  if redis.call('ZCARD', registry) > redis.call('ZCARD', registry .. ':until') then
    return FOREVER
  end
  local last = redis.call('ZRANGE', registry .. ':until', -1, -1, 'WITHSCORES')[2]
  return last and tonumber(last) - now
end
-- life: 'lasting', 'members', or the ms that it is to live.
function checks.life(life, key)
  local left = redis.call('PTTL', key)
  if left == -2 then
    return
  end
  local needed = tonumber(life) or FOREVER
  if life == 'members' then
    needed = needed_life(key)
  end
  local function mend()
    set_retention(key, needed == FOREVER and -1 or math.max(needed, 1))
  end
  if not needed then
    return
  elseif left == -1 and needed ~= FOREVER then
    report('no-retention', key, 'it would stay for ever', mend)
  elseif left ~= -1 and needed == FOREVER then
    report('unwanted-retention', key, 'it would be gone in ' .. math.ceil(left / 1000) .. ' s, with what it holds',
      mend)
  elseif left ~= -1 and life == 'members' and left + SLACK < needed then
    report('retention-differs', key, 'it goes before the last job that it lists', mend)
  end
end
function checks.tokens(_, key)
  if redis.call('LLEN', key) > 1 then
    report('too-many-tokens', key, 'it holds more than one token', function()
      redis.call('LTRIM', key, 0, 0)
    end)
  end
end
function checks.budget(_, key)
  if redis.call('EXISTS', key) == 0 then
    return
  end
  local names = {'limit', 'per', 'at_once'}
  local values = redis.call('HMGET', key, unpack(names))
  for i, name in ipairs(names) do
    local value = number(values[i])
    if not value or value < 1 then
      report('bad-retry-budget', key, 'its ' .. name .. ' is no number of at least 1', function()
        redis.call('DEL', key)
      end)
      return
    end
  end
end

-- A page of the statistics goes when its last period has been kept for as long as it is to be.
-- One that would stay for ever is given the time for which its periods are kept, from now on.
local KEPT_PAGES = {minutes = 86400000, hours = 2592000000} -- ms
function checks.page(beginning, number)
  local key = beginning .. number
  if has_type(key, 'hash') and redis.call('PTTL', key) == -1 then
    report('no-retention', key, 'it is a page of the statistics, and would stay for ever', function()
      redis.call('PEXPIRE', key, KEPT_PAGES[string.match(beginning, '(%l+).$')])
    end)
  end
end
