-- deaths: the workers that a job was on when they died. The field `deaths` has a line for each: how many jobs that
-- worker had beside this one, and its name.
-- NEEDS: lanes
local SUSPECT_AT, ALONE_AT = 2, 3 -- deaths
local function count_deaths(deaths)
  local _, count = string.gsub(deaths or '', '\n', '')
  return count
end
-- The lane in which a job waits that would wait in lane `name`: one that was on several dead workers keeps small company,
-- or none.
local function lane_for(deaths, name)
  local count = count_deaths(deaths)
  if count >= ALONE_AT then
    return 'alone'
  elseif count >= SUSPECT_AT then
    return 'suspects'
  end
  return LANES[name] and name or 'main'
end
