-- stale: registries that list a job which is in another state, or which has no record any more, list it no longer.
-- NEEDS: REGISTRIES forget
local function leave_other_registries(id, status)
  for other in pairs(REGISTRIES) do
    if other ~= status then
      leave_registry(id, other)
    end
  end
end
-- Nothing lists a job that has no record any more.
local function leave_indexes(id)
  redis.call('ZREM', scheduled, id)
  leave_other_registries(id)
end
