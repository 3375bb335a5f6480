-- tell_again: jobs of other queues are told again of jobs of this one that wait for them: a server may have lost that.
-- KEYS: outbox deferred job
-- ARGV: chunk ids...
-- SAYS: ok
-- MAKES: open
-- NEEDS: now read edge_scores
-- ids: these jobs; without any, `chunk` deferred ones, whichever: over time, all of them. Only rows are written, one for each
-- pair that is not decided, and none that stands there already. Whoever carries them on does no harm if they were not needed.
local SOME = 20 -- of those that one job waits for
local told = 0
local function tell_of(id)
  local status, parents, edition = peek(id, 'status', 'parents', 'edition')
  if status ~= 'deferred' or not parents or not string.find(parents, '@', 1, true) then
    return
  end
  local open_for = {}
  for _, name in ipairs(redis.call('SRANDMEMBER', open .. id, SOME)) do
    open_for[name] = string.find(name, '@', 1, true) ~= nil
  end
  for letter, name in string.gmatch(parents, '(%a)([^,]+)') do
    if open_for[name] and EDGE_SCORES[letter] then
      local row = table.concat({'depend', name, EDGE_SCORES[letter], edition and id .. '#' .. edition or id}, ' ')
      told = told + redis.call('ZADD', outbox, 'NX', now, row)
    end
  end
end
for i = ids, #ARGV do
  tell_of(ARGV[i])
end
if #ARGV < ids then
  for _, id in ipairs(redis.call('ZRANDMEMBER', deferred, chunk)) do
    tell_of(id)
  end
end
return {'ok', told}
