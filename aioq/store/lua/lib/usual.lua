-- usual: the retention in ms that most jobs of a registry have. They stand in `<registry>:usual`, by when they ended:
-- when they are forgotten follows from that. The others stand in the registry itself and its companion.
-- The numbers come from values/states.py. They are part of the stored data.
-- NEEDS: USUAL
local function usual_life(registry)
  return USUAL[string.match(registry, '%a+$')]
end
