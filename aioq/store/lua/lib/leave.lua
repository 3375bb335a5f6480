-- leave: entries go out of their lanes together. XACK first: it is not refused when memory is full.
local LARGEST = '18446744073709551615'
local function is_part(digits)
  return digits and (#digits < 20 or #digits == 20 and digits <= LARGEST)
end
-- The lane of an entry as a record names it, and the entry as the lane does; nothing if it cannot be one.
local function lane_of(entry)
  local lane, bare = main, entry or ''
  if string.sub(bare, 1, 6) == 'front/' then
    lane, bare = front, string.sub(bare, 7)
  end
  local ms, count = string.match(bare, '^(%d+)%-(%d+)$')
  if is_part(ms) and is_part(count) then
    return lane, bare
  end
end
local left_main, left_front = {}, {}
local function leave_lane(entry)
  local lane, bare = lane_of(entry)
  if bare then -- the server's error about one that is none would keep all the others in their lanes
    local left = lane == front and left_front or left_main
    left[#left + 1] = bare
  end
end
local function flush_lane(lane, entries)
  for at = 1, #entries, 1000 do -- unpack takes less than 8000
    local last = math.min(at + 999, #entries)
    redis.call('XACK', lane, 'workers', unpack(entries, at, last))
    redis.call('XDEL', lane, unpack(entries, at, last))
  end
end
local function flush_lanes()
  flush_lane(main, left_main)
  flush_lane(front, left_front)
  left_main, left_front = {}, {}
end
