-- lanes: the table of lanes. An entry of the main lane is named by its id alone, any other one `<lane>/<id>`.
-- A lane is a row of these three tables, and of store/keys.py; a test holds them together.
local LANE = string.sub(main, 1, -5) -- how the key of each lane begins
local LANES = {
  alone = LANE .. 'alone', suspects = LANE .. 'suspects', callbacks = LANE .. 'callbacks', front = front, main = main,
}
local SERVED = {'alone', 'suspects', 'callbacks', 'front', 'main'} -- in this order
-- These are there only sometimes, as long as they have jobs. There is a hash `lanes` as long as one of them is there, so
-- that a claim need not look for lanes that are not. A claim drops what is empty.
local RARE = {alone = 'quarantine', suspects = 'quarantine', callbacks = 'callbacks'}
local lanes = string.sub(LANE, 1, -2) .. 's'
-- What stands before the id of an entry when a record names the entry.
local function mark_of(name)
  return name == 'main' and '' or name .. '/'
end
