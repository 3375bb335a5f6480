-- lane_of: the lane of an entry as a record names it, and the entry as the lane does; nothing if it cannot be one.
-- NEEDS: lanes
local LARGEST = '18446744073709551615'
local function is_part(digits)
  return digits and (#digits < 20 or #digits == 20 and digits <= LARGEST)
end
local function lane_of(entry)
  local name, bare = 'main', entry or ''
  if #bare < 20 and string.find(bare, '^%d+%-%d+$') then -- as nearly all are
    return name, bare
  end
  local other, rest = string.match(bare, '^(%l+)/(.*)$')
  if other and LANES[other] then
    name, bare = other, rest
  end
  local ms, count = string.match(bare, '^(%d+)%-(%d+)$')
  if is_part(ms) and is_part(count) then
    return name, bare
  end
end
