-- leave: entries go out of their lanes together. XACK first: it is not refused when memory is full.
local left_main, left_front = {}, {}
local function leave_lane(entry)
  if not entry then
    return
  end
  local at_front = string.match(entry, '^front/(.+)$')
  if at_front then
    left_front[#left_front + 1] = at_front
  else
    left_main[#left_main + 1] = entry
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
