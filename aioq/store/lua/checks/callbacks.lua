-- callbacks: the end of a job is told to each of its callbacks: the field `after` names those that the record has.
-- NEEDS: finding callback_words
local KINDS = {'on_success', 'on_failure', 'on_stopped', 'on_canceled', 'on_expired', 'on_retry'}
local function tell(id, kind)
  local stored = redis.call('HGET', job .. id, 'after')
  redis.call('HSET', job .. id, 'after', stored and stored .. ' ' .. kind or kind)
end
-- stored: the field `webhooks`; see more/callbacks.lua.
local function check_webhooks(id, after, stored)
  local at = 1
  while at <= #stored do
    local kinds, opts, data, from = string.match(stored, '^(on_%l+[on_%l,]*) (%d+) (%d+)\n()', at)
    if not kinds or #stored < from + opts + data - 1 then
      local good = string.sub(stored, 1, at - 1)
      report('callback-unreadable', id, 'its webhooks cannot be read', function()
        if good == '' then
          redis.call('HDEL', job .. id, 'webhooks')
        else
          redis.call('HSET', job .. id, 'webhooks', good)
        end
      end)
      return true
    end
    for kind in string.gmatch(kinds, '[^,]+') do
      if not has_callback(after, kind) then
        report('callback-untold', id, 'its webhook for ' .. kind .. ' would not be sent', function()
          tell(id, kind)
        end)
        return true
      end
    end
    at = from + opts + data
  end
end
-- after: the field of this name, or nothing.
local function check_callbacks(id, after)
  local given = redis.call('HMGET', job .. id, 'webhooks', unpack(KINDS))
  local webhooks = table.remove(given, 1)
  if webhooks and check_webhooks(id, after, webhooks) then
    return true
  end
  for i, kind in ipairs(KINDS) do
    if given[i] and not has_callback(after, kind) then
      report('callback-untold', id, 'its callback ' .. kind .. ' would not be called', function()
        tell(id, kind)
      end)
      return true
    end
    if given[i] and not string.find(given[i], '^%S+ %d+\n') then
      report('callback-unreadable', id, 'its callback ' .. kind .. ' cannot be read', function()
        redis.call('HDEL', job .. id, kind)
      end)
      return true
    end
  end
end
