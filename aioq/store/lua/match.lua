-- match: which of some jobs a search is for.
-- KEYS: job attempts
-- ARGV: conditions most_bytes count words...
-- SAYS: ok
-- NEEDS: read late
-- conditions: as values/filter.py packs them. most_bytes: no further job is looked at once so many bytes of errors were.
-- words: so many (count) names of fields of each job that is found, which the caller wants to see; then ids.
-- Returns how many ids were looked at, and for each job that is found its id and these fields.

local wanted = cjson.decode(conditions)
most_bytes, count = tonumber(most_bytes), tonumber(count)
local FIELDS = {'status', 'expires_at', 'ended_at', 'created_at', 'func', 'worker', 'tags', 'fingerprint'}
if wanted.errors or wanted.texts then
  FIELDS[#FIELDS + 1] = 'error'
end

local function has(list, value)
  for _, each in ipairs(list) do
    if each == value then
      return true
    end
  end
  return false
end
-- pieces: what stands between the stars.
local function fits(text, pieces)
  if #pieces == 1 then
    return text == pieces[1]
  end
  local first, last = pieces[1], pieces[#pieces]
  if #text < #first + #last or string.sub(text, 1, #first) ~= first or string.sub(text, #text - #last + 1) ~= last then
    return false
  end
  local at, stop = #first + 1, #text - #last
  for i = 2, #pieces - 1 do
    local _, found = string.find(text, pieces[i], at, true)
    if not found or found > stop then
      return pieces[i] == ''
    end
    at = found + 1
  end
  return true
end
local function fits_any(text, patterns)
  for _, pieces in ipairs(patterns) do
    if fits(text, pieces) then
      return true
    end
  end
  return false
end
local function contains_all(text, parts)
  for _, part in ipairs(parts) do
    if not string.find(text, part, 1, true) then
      return false
    end
  end
  return true
end

local bytes, looked, found = 0, 0, {}
local function look(id)
  local stored, expires_at, ended_at, created_at, func, worker, tags, f, error = peek(id, unpack(FIELDS))
  if not stored then
    return false
  end
  local status = is_late(stored, expires_at) and 'expired' or stored
  local at = number(ended_at, number(created_at, 0))
  func, worker, tags, error = func or '', worker or '', tags or '', error or ''
  bytes = bytes + #error
  if wanted.states and not has(wanted.states, status)
    or wanted.fingerprint and f ~= wanted.fingerprint
    or wanted.functions and not fits_any(func, wanted.functions)
    or wanted.workers and not has(wanted.workers, worker)
    or wanted.after and at < tonumber(wanted.after)
    or wanted.before and at >= tonumber(wanted.before) then
    return false
  end
  for _, tag in ipairs(wanted.tags or {}) do
    if not string.find(',' .. tags .. ',', ',' .. tag .. ',', 1, true) then
      return false
    end
  end
  error = error ~= '' and string.lower(error)
  if wanted.errors and not (error and contains_all(error, wanted.errors)) then
    return false
  end
  return not wanted.texts
    or contains_all(string.lower(table.concat({id, func, worker, tags}, '\n')) .. '\n' .. (error or ''), wanted.texts)
end

local shown = {}
for i = words, words + count - 1 do
  shown[#shown + 1] = ARGV[i]
end
for i = words + count, #ARGV do
  if bytes > most_bytes then
    break
  end
  looked = looked + 1
  if look(ARGV[i]) then
    found[#found + 1] = ARGV[i]
    found[#found + 1] = count > 0 and {peek(ARGV[i], unpack(shown))} or {}
  end
end
return {'ok', looked, found}
