-- leave: entries go out of their lanes together. XACK first: it is not refused when memory is full.
-- NEEDS: lanes lane_of
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
