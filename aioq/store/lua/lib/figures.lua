-- figures: what is counted of a queue in a minute and in an hour, as words: `finished=12 w31=5`. Each minute is a field of a
-- key for its hour, and each hour one of a key for its day. values/figures.py names the words, values/statistics.py has
-- the times.
-- NEEDS: now
local PAGES = {
  {key = minutes, step = 60000, page = 3600000, kept = 86400000},
  {key = hours, step = 3600000, page = 86400000, kept = 2592000000},
}
local GREATEST = {waiting = true, running = true, scheduled = true, age_ms = true}
local FIRST = {added = true}
-- The page and the field of this moment.
local function place_of(page)
  local number = math.floor(now / page.page)
  return page.key .. string.format('%.0f', number), string.format('%.0f', math.floor(now % page.page / page.step))
end
local function add_words(known, words)
  for word, digits in string.gmatch(words, '([%l_]+%d*)=(%d+)') do
    local number, before = tonumber(digits), known[word]
    if not before then
      known[word] = number
    elseif GREATEST[word] then
      known[word] = math.max(before, number)
    elseif not FIRST[word] then
      known[word] = before + number
    end
  end
end
-- A page goes when the last period in it has been kept for as long as it is to be.
local function note(words)
  for _, page in ipairs(PAGES) do
    local key, name = place_of(page)
    local known, packed = {}, {}
    add_words(known, redis.call('HGET', key, name) or '')
    add_words(known, words)
    for word, number in pairs(known) do
      packed[#packed + 1] = word .. '=' .. string.format('%.0f', number)
    end
    if redis.call('HSET', key, name, table.concat(packed, ' ')) == 1 then
      redis.call('PEXPIRE', key, page.page - now % page.page + page.kept)
    end
  end
end
