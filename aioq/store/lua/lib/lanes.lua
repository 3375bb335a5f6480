-- lanes: the table of lanes. An entry of the main lane is named by its id alone, any other one `<lane>/<id>`.
-- The lanes of quarantine hold jobs that were on workers when these died. There is a hash `lanes` as long as one of these
-- lanes exists, so that a claim need not look for lanes that are not there. A claim drops what is empty.
local LANE = string.sub(main, 1, -5) -- how the key of each lane begins
local QUARANTINE = {suspects = LANE .. 'suspects', alone = LANE .. 'alone'}
local LANES = {main = main, front = front, suspects = QUARANTINE.suspects, alone = QUARANTINE.alone}
local SERVED = {'alone', 'suspects', 'front', 'main'} -- all lanes, in the order in which they are served
local lanes = string.sub(LANE, 1, -2) .. 's'


-- What stands before the id of an entry when a record names the entry.
local function mark_of(name)
  return name == 'main' and '' or name .. '/'
end
