-- finding: what an examination has found. With `repair` on, each is repaired at once: a check has read all that it
-- needs before it reports, and reports one thing at a time.
-- NEEDS: read
local checks = {} -- by name; each file of checks/ adds its own
local findings = {}
local function report(kind, name, words, remedy)
  local repaired = 0
  if remedy and repair == '1' then
    remedy()
    repaired = 1
  end
  findings[#findings + 1] = {kind, name, words, repaired}
end
-- What is worth less than this many ms is no finding: two keys that go together may go a moment apart.
local SLACK = 2000
local function is_near(moment, other)
  return math.abs(moment - other) <= SLACK
end
local function score(key, member)
  local found = redis.call('ZSCORE', key, member)
  return found and tonumber(found) or nil
end
-- A score that is a moment in whole ms; nothing if there is none, or one that is no moment.
local function moment(key, member)
  local found = score(key, member)
  return found and number(string.format('%.0f', math.floor(found)))
end
-- Whether a record can be read (if not, that is another finding); then its status and other fields, false each if there
-- is none.
local function look(id, ...)
  local seen = redis.pcall('HMGET', job .. id, 'status', ...)
  if seen.err or not seen[1] and redis.call('EXISTS', job .. id) == 1 then
    return false
  end
  return true, unpack(seen)
end
-- A key with a value of another type is of no use to anyone, and every script that meets it fails. It is moved out of
-- the way, whole, and kept for a while.
local ASIDE = 2592000000
local function put_aside(key)
  local place = damaged .. string.match(key, '}.(.*)$')
  redis.call('RENAME', key, place)
  redis.call('PEXPIRE', place, ASIDE)
end
-- Whether a key has a type; one that is not there has it if it may be missing. Another type is a finding.
local function has_type(key, expected, may_miss)
  local kind = redis.call('TYPE', key).ok
  if kind ~= expected and kind ~= 'none' then
    report('wrong-type', key, 'it is a ' .. kind .. '; expected a ' .. expected, function()
      put_aside(key)
    end)
  end
  return kind == expected or (may_miss and kind == 'none')
end
