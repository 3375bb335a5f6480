-- audit: who has done what to the queue. values/audit.py has the limits, too.
-- NEEDS: now
local MOST_ENTRIES, ENTRIES_MS, MOST_SUBJECTS = 10000, 7776000000, 20
local JOINED = 10 -- the last rows, among which the row of an act that goes on is looked for
local FREED = 10 -- so many of the oldest rows go with each new one, as far as they are to go
-- act: a word that was made for it, a space, and a text that says who has done what. Scripts do not look into that text.
-- subjects: what it concerned; count: how many there were.
-- An act that takes several calls has one row, which each of them replaces.
local function note_act(act, subjects, count)
  -- MAKES: audit
  local word, told = string.match(act, '^(%S+) (.*)$')
  local row, beginning = {word, 0}, cjson.encode({word, 0}):sub(1, -3)
  for _, each in ipairs(redis.call('ZRANGE', audit, -JOINED, -1)) do
    if string.sub(each, 1, #beginning) == beginning then
      redis.call('ZREM', audit, each)
      row = cjson.decode(string.match(each, '^[^\n]*'))
    end
  end
  row[2] = row[2] + count
  for i = 1, math.min(#subjects, MOST_SUBJECTS + 2 - #row) do
    row[#row + 1] = subjects[i]
  end
  redis.call('ZADD', audit, now + now_us / 1000, cjson.encode(row) .. '\n' .. told)
  redis.call('PEXPIRE', audit, ENTRIES_MS)
  local surplus = redis.call('ZCARD', audit) - MOST_ENTRIES
  local oldest = redis.call('ZRANGE', audit, 0, FREED - 1, 'WITHSCORES')
  for i = 1, #oldest, 2 do
    if i / 2 < surplus or tonumber(oldest[i + 1]) < now - ENTRIES_MS then
      redis.call('ZREM', audit, oldest[i])
    end
  end
end
