-- leave: entries go out of their lanes together. XACK first: it is not refused when memory is full.
-- NEEDS: lanes
local LARGEST = '18446744073709551615'
local function is_part(digits)
  return digits and (#digits < 20 or #digits == 20 and digits <= LARGEST)
end
-- The lane of an entry as a record names it, and the entry as the lane does; nothing if it cannot be one.
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
local left = {} -- by the name of the lane
local function leave_lane(entry)
  local name, bare = lane_of(entry)
  if bare then -- the server's error about one that is none would keep all the others in their lanes
    local entries = left[name] or {}
    entries[#entries + 1] = bare
    left[name] = entries
  end
end
local function flush_lane(lane, entries, trim)
  for at = 1, #entries, 1000 do -- unpack takes less than 8000
    local last = math.min(at + 999, #entries)
    local count = last - at + 1
    redis.call('XACK', lane, 'workers', unpack(entries, at, last))
    if not trim or trim(lane, count) < count then
      redis.call('XDEL', lane, unpack(entries, at, last))
    end
  end
end
-- trim: may delete entries at less cost, now that they are not pending; it says how many are gone.
local function flush_lanes(trim)
  for name, entries in pairs(left) do
    flush_lane(LANES[name], entries, trim)
  end
  left = {}
end
