-- returning: a job was requeued, and the jobs that its end had ended wait for it again.
-- Each of them keeps in `waited_for` whose end that was, and for which jobs it was open then. It waits for these again; the
-- edges that had been decided before stay decided. What one of them means to it that has ended since is decided at once.
-- NEEDS: now read allows deferred deferred_ttl doors/follow more/dependents revive retake ended_by outlive outbox children FINAL sole_parent edge_scores
-- What a job of another queue is told, and what it is told of, carries its edition: how often it has come back. So what is
-- told late, or twice, of an edge that is open again since means nothing.
local function scores_of(parents)
  local found = {}
  for letter, name in string.gmatch(parents or '', '(%a)([^,]+)') do
    found[name] = EDGE_SCORES[letter]
  end
  return found
end
local function wait_for(id, name, score, edition, is_sole)
  if not is_sole then
    redis.call('SADD', open .. id, name)
  end
  local queue = string.match(name, '@(.+)$')
  if queue then
    put_row('depend', name, score, id .. '#' .. edition)
    redis.call('SADD', sources, queue)
    has_rows = true
    return
  end
  redis.call('ZADD', dependents .. name, score + (is_sole and SOLE or 0), id)
  local status, after = peek(name, 'status', 'after')
  local takes = is_taking(score)
  if has_children(name, status and after or 'children') then -- its record may have gone since it has finished
    if status and takes then
      outlive(name, true)
    end
    decide_children_later(name)
  elseif not status then
    decide_later(name, 'gone', true)
  elseif FINAL[status] and (status == 'finished' or score >= RUN) then
    decide_later(name, status)
  else
    outlive(name, takes)
  end
end
-- A job that has ended in another way since, that is gone or that was brought back by somebody else is left alone.
local function wait_again(id, parent)
  local status, waited_for, parents, edition, created_at, after, deferred_ttl =
    peek(id, 'status', 'waited_for', 'parents', 'edition', 'created_at', 'after', 'deferred_ttl')
  local ender, names = string.match(waited_for or '', '^(%S+) (.+)$')
  if ender ~= parent or not allows(status, 'defer') then
    return
  end
  flush_deferred()
  revive(id, status)
  edition = number(edition, 0) + 1
  redis.call('HSET', job .. id, 'status', 'deferred', 'edition', edition)
  redis.call('ZADD', deferred, number(created_at, now), id)
  if number(deferred_ttl, 0) > 0 then
    start_deferred_ttl(id, number(deferred_ttl))
    has_released = true -- a worker is to know of it
  end
  local scores = scores_of(parents)
  for name in string.gmatch(names, '%S+') do
    wait_for(id, name, scores[name] or 2, edition, sole_parent(parents) == name)
  end
  if takes_results(parents) then
    after = take_again(id, parents, after, true)
  end
  if after then
    return_member(id, after)
    after = peek(id, 'after')
  end
  if has_ended_others(after) and take_back(id, after, true) then
    decide_later(id, 'again')
  end
end
-- Returns how many there were, at most `limit`.
local function return_some(parent, limit)
  local key = ended_by .. parent .. '/back'
  local rows = redis.call('ZRANGE', key, 0, limit - 1, 'WITHSCORES')
  for i = 1, #rows, 2 do
    redis.call('ZREM', key, rows[i])
    if told then
      told[#told + 1] = rows[i]
    end
    if string.find(rows[i], '@', 1, true) then
      -- Of the rows that this ms writes, this one is behind what the end of the job means to the other one.
      redis.call('ZADD', outbox, now + 0.5, table.concat({'decide', rows[i], parent, rows[i + 1], 'again'}, ' '))
      has_rows = true
    else
      wait_again(rows[i], parent)
    end
  end
  return #rows / 2
end
