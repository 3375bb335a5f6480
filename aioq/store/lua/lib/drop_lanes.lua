-- drop_lanes: of the lanes that are there only sometimes, those that are empty go; and with the last one the hash which
-- says that there are some, unless jobs wait that have a deferred_ttl.
-- NEEDS: lanes
local function drop_rare_lanes()
  local rest = 0
  for name in pairs(RARE) do
    if redis.call('XLEN', LANES[name]) == 0 then
      redis.call('DEL', LANES[name])
    else
      rest = rest + 1
    end
  end
  if rest == 0 then
    -- MAKES: deferred
    if redis.call('EXISTS', deferred .. ':until') == 0 then
      redis.call('DEL', lanes)
    end
  end
end
