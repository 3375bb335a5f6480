-- read: what is stored of a job, as far as it can be used. Whoever can write to the server may have written anything:
-- one damaged job must not end a script that other jobs are waiting for.
-- A whole number as the scripts write it; or the default for what is none, or too large to be a moment, a count or
-- a duration.
local function number(text, default)
  local value = text and string.match(text, '^-?%d+$') and tonumber(text)
  if value and math.abs(value) <= 1e15 then
    return value
  end
  return default
end
-- Some fields of a job, as many values, false for each that is not there; nothing of one whose key holds something else.
local function peek(id, ...)
  local seen = redis.pcall('HMGET', job .. id, ...)
  if not seen.err then
    return unpack(seen)
  end
  if not string.find(seen.err, 'WRONGTYPE', 1, true) then
    redis.call('HMGET', job .. id, ...) -- any other error is the caller's to see
  end
end
-- The id in an entry of a lane; nothing if no job can have it. The first look is a cheap one, and enough for most ids.
local function id_of(entry)
  local id = entry and entry[2] and entry[2][2]
  if id and (string.find(id, '^%w+$') or string.find(id, '^[%w_.-]+$')) then
    return id
  end
end
