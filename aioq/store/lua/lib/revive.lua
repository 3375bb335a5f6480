-- revive: a job that has ended without a result begins anew. What is known of its last run moves to the history, and the
-- retention that it had is taken off. The caller gives it its next state.
-- NEEDS: read forget history own
local function revive(id, status)
  leave_registry(id, status)
  archive(id, status)
  clear_run(id)
  redis.call('HDEL', job .. id, 'error', 'reason', 'waited_for', 'expires_at', 'first_started_at', 'start_by')
  keep_record(id, -1)
end
-- It is a member of its group again, and one of the children of another job.
local function return_member(id, after)
  if string.find(' ' .. after, ' child', 1, true) then
    -- MAKES: children
    -- NEEDS: children
    return_to_children(id, after)
  end
  if string.find(' ' .. after .. ' ', ' tags ', 1, true) then
    -- MAKES: tags tag
    -- NEEDS: more/tags
    list_tags({id, peek(id, 'tags') or '', '+inf'})
  end
  -- MAKES: gone groups group members over sequel outbox
  -- NEEDS: more/groups
  local g, place, home, edition = string.match(' ' .. after, ' group=([^%s/]+)/(%d+)([^%s#!]*)#?(%d*)')
  if g and home == '' then
    return_to_group(g, place)
  elseif g then
    -- What another queue is told may come late, or in another order; so it is told of which edition it is.
    local next_one = number(edition, 0) + 1
    local word = 'group=' .. g .. '/' .. place .. home .. '#' .. next_one
    redis.call('HSET', job .. id, 'after', (string.gsub(after, 'group=%S+', function() return word end)))
    send_to_group(g .. home .. '#' .. next_one, {place, 'open'})
  end
end
