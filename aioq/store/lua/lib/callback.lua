-- callback: which jobs are callbacks of others. Their ids alone have a point, and it is
-- `<id of the job>.<fence of its last claim>.<kind>`; see values/callback.py.
local function is_callback(id)
  return string.find(id, '.', 1, true) ~= nil
end
