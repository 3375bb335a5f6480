-- usual: the retention in ms that most jobs of a registry have. They stand in `<registry>:usual`, by when they ended:
-- when they are forgotten follows from that. The others stand in the registry itself and its companion.
-- These numbers are part of the stored data; a test holds them to the defaults in values/options.py.
local USUAL = {finished = 500000, failed = 31536000000, canceled = 86400000, stopped = 31536000000, expired = 3600000}
local function usual_life(registry)
  return USUAL[string.match(registry, '%a+$')]
end
