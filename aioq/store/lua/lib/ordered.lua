-- ordered: sorted sets by ranks, from a place in their order on.
-- Whether a member stands before another one of the same score: by bytes, where `<` would go by the server's language.
local function stands_before(one, other)
  for i = 1, math.min(#one, #other) do
    local a, b = string.byte(one, i), string.byte(other, i)
    if a ~= b then
      return a < b
    end
  end
  return #one < #other
end
-- How many members stand before a place, whether there is still a member or not; with `counts`, that one is among them.
-- Thousands may have one score, so these are halved until the place is found.
local function rank_of(key, score, member, counts)
  local low, high = redis.call('ZCOUNT', key, '-inf', '(' .. score), redis.call('ZCOUNT', key, '-inf', score)
  while low < high do
    local middle = math.floor((low + high) / 2)
    local other = redis.call('ZRANGE', key, middle, middle)[1]
    if stands_before(other, member) or (counts and other == member) then
      low = middle + 1
    else
      high = middle
    end
  end
  return low
end
-- Goes through the ranks from `from` up to `to`, this one excluded, or the other way round, and reads `batch` members at a
-- time. Each call gives the next member and its score; nothing at the end.
local function walk(key, from, to, backward, batch)
  local rows, at = {}, 0
  return function()
    at = at + 2
    if at > #rows and from < to then
      local first = backward and math.max(from, to - batch) or from
      local last = backward and to or math.min(to, from + batch)
      rows, at = redis.call('ZRANGE', key, first, last - 1, 'WITHSCORES'), 2
      if backward then
        to = first
      else
        from = last
      end
    end
    local i = backward and #rows + 2 - at or at
    return rows[i - 1], rows[i]
  end
end
