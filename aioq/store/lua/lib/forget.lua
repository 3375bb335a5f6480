-- forget: remove every trace of a job but its lane entry.
local REGISTRIES = {finished = finished, failed = failed, canceled = canceled, stopped = stopped, expired = expired}
local function leave_registry(id, status)
  local registry = REGISTRIES[status]
  if registry then
    redis.call('ZREM', registry, id)
    redis.call('ZREM', registry .. ':until', id)
  end
end
local function forget(id, status)
  leave_registry(id, status)
  redis.call('DEL', job .. id, attempts .. id)
end
