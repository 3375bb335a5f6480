-- leave: entries go out of their lanes together. XACK first: it is not refused when memory is full.
local left_main, left_front = {}, {}
local function leave_lane(entry)
  -- What does not look like an entry is none: an error would keep all the others in their lanes.
  local mark, own = string.match(entry or '', '^(f?r?o?n?t?/?)(%d+%-%d+)$')
  if own and #own <= 20 then
    local left = mark == '' and left_main or left_front
    left[#left + 1] = own
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
