-- takers: jobs that take the results of others as arguments. Each of the others lists such a job among its dependents until
-- that one has ended, and its record stays as long.
-- NEEDS: now read usual REGISTRIES own outbox wake lanes ended_by

-- Tells what a job with these `parents` takes, and whether that is a job of another queue.
local function each_taken(parents, tell)
  for letter, parent in string.gmatch(parents, '(%a)([^,]+)') do
    if string.find(letter, '%u') then
      tell(parent, string.find(parent, '@', 1, true) ~= nil)
    end
  end
end
-- What a job is called in other queues: one that has come back by its edition, too. So a row that is late lets go of what an
-- older edition took.
local function name_elsewhere(id, edition)
  return edition and id .. '#' .. edition or id
end
-- The retention of a record that nobody waits for any more goes on.
local function resume_retention(id)
  local status, after = peek(id, 'status', 'after')
  local registry = REGISTRIES[status]
  if not registry then
    return -- it has not ended
  elseif after and string.find(' ' .. after, ' child', 1, true) then
    -- MAKES: children
    -- NEEDS: children
    if is_counted(id, after) then
      return -- it goes when its registry is swept, which the dependents of the job with children hear of
    end
  end
  local words = {}
  for word in string.gmatch(after or '', '%S+') do
    if word ~= 'deps' and word ~= 'wanted' then
      words[#words + 1] = word
    end
  end
  redis.call('HDEL', job .. id, 'after')
  if #words > 0 then
    redis.call('HSET', job .. id, 'after', table.concat(words, ' '))
  end
  local ended_at = redis.call('ZSCORE', registry .. ':usual', id)
  local goes = ended_at and math.floor(ended_at) + usual_life(registry) or redis.call('ZSCORE', registry .. ':until', id)
  if goes then
    local left = math.max(1, goes - now)
    keep_record(id, left)
    if has_ended_others(after) then
      set_retention(ended_by .. id, left)
    end
  end
end
-- A taker has ended, or is gone.
local function let_go(parent, taker)
  local key = dependents .. parent
  if redis.call('ZREM', key, taker) == 1 and redis.call('EXISTS', key) == 0 then
    resume_retention(parent)
  end
end
local function tell_outbox()
  redis.call('HSET', lanes, 'follows', '1') -- a claim that finds this hash looks at more than the lanes
  wake_one()
end
-- The takers that have ended: each with its `parents` and its edition.
local function let_go_of_all(takers)
  for _, taker in ipairs(takers) do
    each_taken(taker.parents, function(parent, is_elsewhere)
      if is_elsewhere then
        put_row('let_go', parent, name_elsewhere(taker.id, taker.edition))
        tell_outbox()
      else
        let_go(parent, taker.id)
      end
    end)
  end
end
