-- spare: how many ms a registry is kept for longer than the longest retention in it.
-- The server removes a key that has run out some time later. If its clock is set back meanwhile, a record lives again, and
-- then its registry must still be there. Readers leave out what is over, and workers sweep it.
local SPARE = 86400000
