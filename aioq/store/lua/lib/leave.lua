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
  if #entries > 0 then
    redis.call('XACK', lane, 'workers', unpack(entries))
    redis.call('XDEL', lane, unpack(entries))
  end
end
local function flush_lanes()
  flush_lane(main, left_main)
  flush_lane(front, left_front)
end
