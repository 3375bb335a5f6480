-- outlive: a record from whose end more follows than that waiting processes hear of it does not go by itself: what no
-- script ends could free nothing.
-- NEEDS: read own
local function has_dependents(after)
  return after and string.find(' ' .. after .. ' ', ' deps ', 1, true) ~= nil
end
-- Whether more follows from the end of the job than that waiting processes (@<channel>) hear of it.
local function has_sequels(after)
  return after and string.find(' ' .. after, ' [^@ ]') ~= nil
end
local function outlive(id)
  local after = peek(id, 'after')
  if not has_dependents(after) then
    redis.call('HSET', job .. id, 'after', after and after .. ' deps' or 'deps')
  end
  for _, key in ipairs({keys_of(id)}) do
    redis.call('PERSIST', key)
  end
end
