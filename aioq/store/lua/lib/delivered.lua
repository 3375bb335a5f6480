-- delivered: how far a lane was handed out.
-- NEEDS: lanes
-- The entry up to which a lane was handed out; nothing if it has no group.
local function last_delivered(name)
  local groups = redis.call('EXISTS', LANES[name]) == 1 and redis.call('XINFO', 'GROUPS', LANES[name]) or {}
  for _, row in ipairs(groups) do
    local group = {}
    for i = 1, #row, 2 do
      group[row[i]] = row[i + 1]
    end
    if group.name == 'workers' then
      return group['last-delivered-id']
    end
  end
end
