-- outlive: a record from whose end more follows than that waiting processes hear of it does not go by itself: what no
-- script ends could free nothing.
-- NEEDS: read own
local function has_dependents(after)
  return after and string.find(' ' .. after .. ' ', ' deps ', 1, true) ~= nil
end
-- Whether jobs take what becomes of this one as an argument: then it is kept even if nothing else asks for it.
local function is_wanted(after)
  return after and string.find(' ' .. after .. ' ', ' wanted ', 1, true) ~= nil
end
-- Whether more follows from the end of the job than that waiting processes (@<channel>) hear of it.
local function has_sequels(after)
  return after and string.find(' ' .. after, ' [^@ ]') ~= nil
end
local TAKER = 9 -- the score of a job that takes the result of the one which it is a dependent of, see more/dependents.lua
-- after: if the caller has read it just now. lasts: it knows that the record does not go by itself.
local function outlive(id, wanted, after, lasts)
  if after == nil then
    after = peek(id, 'after')
  end
  local words = after or ''
  if not has_dependents(after) then
    words = words .. ' deps'
  end
  if wanted and not is_wanted(after) then
    words = words .. ' wanted'
  end
  if words ~= (after or '') then
    redis.call('HSET', job .. id, 'after', (string.gsub(words, '^ ', '')))
  end
  if not lasts then
    for _, key in ipairs({keys_of(id)}) do
      redis.call('PERSIST', key)
    end
  end
end
