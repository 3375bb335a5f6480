-- heads: what the words of a head say of a new job; enqueue.lua lists the words. A feature that needs a word adds its handler, and
-- no other place changes: a handler writes what is known into `new`, and fields that are stored beside those of the call into
-- `fields`. false says that the value is none.
-- NEEDS: now lanes edge_scores sole_parent
local function due_moment(due)
  local delay = string.match(due, '^%+(%d+)$')
  return delay and now + tonumber(delay) or tonumber(due)
end

local function add(fields, name, value)
  if value then
    fields[#fields + 1] = name
    fields[#fields + 1] = value
  end
end

-- What follows from the end of a new job, as words of its field `after`.
local function follow_with(new, words) new.after = new.after and new.after .. ' ' .. words or words end

local HANDLERS = {
  lane = function(new, name)
    new.lane = name
    return LANES[name] ~= nil
  end,
  due = function(new, due)
    new.due_at = due_moment(due)
    return new.due_at ~= nil
  end,
  ttl = function(new, ttl, fields)
    new.ttl = tonumber(ttl)
    add(fields, 'ttl', ttl)
    return new.ttl ~= nil
  end,
  deferred_ttl = function(new, ttl, fields)
    new.deferred_ttl = tonumber(ttl)
    add(fields, 'deferred_ttl', ttl)
    return new.deferred_ttl ~= nil
  end,
  -- An id that a user chose may come again after a delete. Fences that begin at the clock keep growing over that, so a
  -- run of the old job can never write into the new one.
  nonce = function(new, nonce, fields)
    new.nonce = nonce
    add(fields, 'nonce', nonce)
    add(fields, 'fence', now)
    add(fields, 'uncounted', now)
  end,
  callbacks = function(new, kinds)
    follow_with(new, (string.gsub(kinds, ',', ' ')))
  end,
  parents = function(new, parents, fields)
    local found, scores, are_known = {text = parents}, {}, true
    for letter, parent in string.gmatch(parents, '(%a)([^,]+)') do
      local at = #found + 1
      found[at], scores[at] = parent, EDGE_SCORES[letter]
      are_known = are_known and scores[at] ~= nil
    end
    if are_known and sole_parent(parents) then
      scores[1] = scores[1] + SOLE
    end
    found.scores = scores
    found.are_here = not string.find(parents, '@', 1, true)
    new.parents = found
    if string.find(',' .. parents, ',%u') then
      follow_with(new, 'takes')
    end
    add(fields, 'parents', parents)
    return are_known and #found > 0
  end,
  -- The place in the list of the group's members, which the job stands in already.
  group = function(new, place)
    new.is_member = true -- a run knows its group
    follow_with(new, 'group=' .. place)
    return string.find(place, '^[%w_-]+/%d+$') or string.find(place, '^[%w_-]+/%d+@[^#]+$') or false
  end,
  tags = function(new, given, fields)
    new.has_tags = true
    follow_with(new, 'tags')
    add(fields, 'tags', given)
  end,
  child = function(new, of)
    new.parent, new.parents_fence = string.match(of, '^([^/]+)/(%d+)$')
    follow_with(new, 'child=' .. (new.parent or ''))
    return new.parent ~= nil
  end,
}

-- What one head says; or nothing, and the word that nobody can read.
local function read_head(head)
  local count, rest = string.match(head, '^(%d+)(.*)$')
  local new = {count = tonumber(count), has_words = rest ~= '', lane = 'main', fields = {}}
  for word in string.gmatch(rest, '%S+') do
    local name, value = string.match(word, '^([%l_]+)=(.+)$')
    local handle = HANDLERS[name or '']
    if not handle or handle(new, value, new.fields) == false then
      return nil, word
    end
  end
  new.only_waits = string.find(rest, '^ parents=%S+$') ~= nil
  new.__index = new -- jobs with the same head have what it says in common, and each its own place
  return new
end
