-- follow: what follows from the end of a job, by the words of its field `after`.
-- @<channel>: a process waits for the job. It gets one message for all jobs that the script has ended. A part of it is
-- "<id> <status> <length>\n<bytes>"; the length - says that the bytes are too long for a message and must be loaded.
-- deps: other jobs depend on the job. wanted: some of them take its result.
-- takes: the job takes the results of others as arguments; they are named in `parents`, with a capital letter.
-- children, child=<id>: it has children, or is one. See lib/children.lua.
-- ended: its last end has ended other jobs. See lib/ended_by.lua.
-- on_success, on_failure and the like: the job has such a callback. See more/callbacks.lua.
-- group=<group>/<place>: the job is a member of a group. This word stays: a requeue makes it a member again. The group of
-- another queue stands there as <group>/<place>@<queue>, and after a requeue as <group>/<place>@<queue>#<edition>. With a !
-- at its end, that queue is told of the end of this edition already.
-- tags: the job has tags, which list it. This word stays, too. See more/tags.lua.
-- NEEDS: read outlive
local mail, ended, called, left_groups, takers = {}, {}, nil, nil, nil
local tagged -- what has become of jobs with tags, as rows of more/tags.lua
local told -- the names of jobs that come back with one that is requeued, for a caller who has asked
local function send(channel, part)
  local parts = mail[channel] or {}
  parts[#parts + 1] = part
  mail[channel] = parts
end
-- The dependents of a job are decided: it has ended, or one has come since. is_gone: its record is gone. is_untaken: it is known
-- that no job takes its result.
local function decide_later(id, status, is_gone, is_untaken)
  ended[#ended + 1] = {id = id, status = status, is_gone = is_gone, is_untaken = is_untaken}
end
-- The same for a job with children. member: that one of them which has ended, if that is why.
local function decide_children_later(id, member)
  ended[#ended + 1] = {id = id, status = 'finished', is_parent = true, member = member}
end
local function tag_later(id, goes)
  tagged = tagged or {}
  tagged[#tagged + 1] = id
  tagged[#tagged + 1] = peek(id, 'tags') or ''
  tagged[#tagged + 1] = goes
end
local function has_tags(after)
  return after and string.find(' ' .. after .. ' ', ' tags ', 1, true) ~= nil
end
local function leave_later(g, place, status)
  left_groups = left_groups or {}
  local rows = left_groups[g] or {}
  rows[#rows + 1] = place
  rows[#rows + 1] = (status == 'deleted' or status == 'gone') and 'gone' or status
  left_groups[g] = rows
end
-- value: the result or the error. is_only_copy: nothing is stored of it, so the message carries it whatever its length.
-- is_gone: its record is gone.
local function follow(id, status, after, value, is_only_copy, is_gone)
  if after == 'deps' then -- as of most jobs that others depend on: each search in a text takes a tenth of a microsecond
    decide_later(id, status, is_gone, true)
    return
  end
  local g, place, home = string.match(after, '^group=([^%s/]+)/(%d+)([^%s!]*)$')
  if g then -- and nothing else, as of most members
    leave_later(home == '' and g or g .. home, place, status)
    return
  end
  value = value or ''
  local part = id .. ' ' .. status .. ' -\n'
  if is_only_copy or #value <= 4096 then
    part = id .. ' ' .. status .. ' ' .. #value .. '\n' .. value
  end
  for channel in string.gmatch(' ' .. after, ' @(%S+)') do
    send(channel, part)
  end
  if string.find(' ' .. after, ' child', 1, true) then
    -- MAKES: children
    -- NEEDS: children
    local parent, is_parent = parent_in(after), has_children(id, after)
    if is_parent then
      leave_children(id, id, status, is_gone)
      decide_children_later(id, id)
    elseif has_dependents(after) then
      decide_later(id, status, is_gone)
    end
    if parent and leave_children(parent, id, status, is_gone) then
      decide_children_later(parent, id)
    end
  elseif has_dependents(after) then
    decide_later(id, status, is_gone)
  end
  if string.find(' ' .. after, ' on_', 1, true) then
    -- NEEDS: callback_words
    local KINDS = {
      finished = 'on_success', failed = 'on_failure', stopped = 'on_stopped', canceled = 'on_canceled',
      expired = 'on_expired',
    }
    if has_callback(after, KINDS[status]) then
      called = called or {}
      called[#called + 1] = {
        id = id, kind = KINDS[status], fields = redis.call('HGETALL', job .. id), status = status, value = value,
      }
    end
  end
  if is_gone and has_tags(after) then
    tag_later(id, 0)
  end
  if string.find(' ' .. after .. ' ', ' takes ', 1, true) then
    takers = takers or {}
    local parents, edition = peek(id, 'parents', 'edition')
    takers[#takers + 1] = {id = id, parents = parents or '', edition = edition}
  end
  g, place, home = string.match(' ' .. after .. ' ', ' group=([^%s/]+)/(%d+)([^%s!]*) ')
  if g then
    leave_later(g .. home, place, status)
  end
end
local function flush_mail()
  for channel, parts in pairs(mail) do
    redis.pcall('PUBLISH', channel, table.concat(parts)) -- it may be one that this user may not publish to
    mail[channel] = nil
  end
end
-- What follows from an end may end other jobs, from which more follows. All of it stands in this function, so that a script
-- which has ended nothing but plain jobs makes none of it.
local function follow_all()
  -- NEEDS: USUAL
  local expired_ttl = USUAL.expired
  -- MAKES: wake scheduled expiring finished failed canceled stopped expired deferred open dependents ended_by children undecided outbox sources groups group members over sequel tags tag
  -- NEEDS: keep more/groups more/dependents more/takers more/callbacks more/tags
  repeat
    if left_groups then
      local some = left_groups
      left_groups = nil
      for g, rows in pairs(some) do
        if string.find(g, '@', 1, true) then
          send_to_group(g, rows)
        else
          leave_group(g, rows)
        end
      end
    end
    if #ended > 0 then
      decide_dependents(ended)
      ended = {}
      flush_kept()
    end
    if takers then
      flush_kept()
      let_go_of_all(takers)
      takers = nil
    end
    if called then
      local some = called
      called = nil
      make_callbacks(some)
    end
    if tagged then
      local some = tagged
      tagged = nil
      list_tags(some)
    end
  until #ended == 0 and not left_groups and not called and not takers
end
local function flush_ends()
  if #ended > 0 or left_groups or called or takers or tagged then
    follow_all()
  end
  flush_mail()
end
