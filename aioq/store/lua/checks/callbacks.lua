-- callbacks: the end of a job is told to each of its callbacks: the field `after` names those that the record has.
-- NEEDS: finding callback_words
local KINDS = {'on_success', 'on_failure', 'on_stopped', 'on_canceled', 'on_expired', 'on_retry'}
-- after: the field of this name, or nothing.
local function check_callbacks(id, after)
  local given = redis.call('HMGET', job .. id, unpack(KINDS))
  for i, kind in ipairs(KINDS) do
    if given[i] and not has_callback(after, kind) then
      report('callback-untold', id, 'its callback ' .. kind .. ' would not be called', function()
        local stored = redis.call('HGET', job .. id, 'after')
        redis.call('HSET', job .. id, 'after', stored and stored .. ' ' .. kind or kind)
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
