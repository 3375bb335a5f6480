-- index: what stands in an index has a record that says so. What is over and not swept yet may have none.
-- NEEDS: now REGISTRIES lane_of leave usual doors/end_job forget finding
local function is_over(moment)
  return moment and moment <= now + SLACK
end
function checks.scheduled(_, id)
  if not score(scheduled, id) then
    return
  end
  local is_readable, status = look(id)
  if not is_readable or status == 'scheduled' then
    return
  end
  report(status and 'job-in-wrong-index' or 'index-without-job', id,
    'it is in the schedule, and ' .. (status and 'is ' .. status or 'has no record'), function()
    redis.call('ZREM', scheduled, id)
  end)
end

-- key: the registry or its index of usual retentions.
function checks.registry(key, id)
  local ended_at = score(key, id)
  if not ended_at then
    return
  end
  local registry, goes = key, nil
  if string.sub(key, -6) == ':usual' then
    registry = string.sub(key, 1, -7)
    goes = math.floor(ended_at) + usual_life(registry)
  else
    goes = score(key .. ':until', id)
  end
  local is_readable, status = look(id)
  if not is_readable or status and REGISTRIES[status] == registry or is_over(goes) then
    return
  end
  report(status and 'job-in-wrong-index' or 'index-without-job', id,
    'it is in the registry ' .. string.match(registry, '%a+$') .. ', and '
      .. (status and 'is ' .. status or 'has no record'), function()
    for name, each in pairs(REGISTRIES) do
      if each == registry then
        leave_registry(id, name)
      end
    end
  end)
end
function checks.companion(key, id)
  if score(key, id) and not score(string.sub(key, 1, -7), id) then
    report('companion-alone', id, 'a companion says when it is forgotten, and its registry does not have it',
      function()
        redis.call('ZREM', key, id)
      end)
  end
end

function checks.deadline(_, row)
  local deadline = score(expiring, row)
  local id, entry = string.match(row, '^(%S+) (%S+)$')
  if not deadline or (id and is_over(deadline + expired_ttl)) then
    return
  end
  local is_readable, status, known, expires_at = true, nil, nil, nil
  if id then
    is_readable, status, known, expires_at = look(id, 'entry', 'expires_at')
  end
  if not is_readable or status == 'queued' and known == entry and expires_at then
    return
  end
  report(status and 'job-in-wrong-index' or 'index-without-job', id or row, 'it is in the index of deadlines, and '
    .. (status and 'does not wait there' or 'has no record'), function()
    redis.call('ZREM', expiring, row)
    if id and known ~= entry and lane_of(entry) then
      leave_lane(entry)
      flush_lanes()
    end
  end)
end

-- A tombstone or a receipt: no longer of use when the call that it answers is not sent again.
function checks.brief(key, id)
  key = key .. id
  if not has_type(key, 'string') or redis.call('PTTL', key) ~= -1 then
    return
  end
  report('no-retention', key, 'it answers a call that may be sent again for some seconds, and would stay for ever',
    function()
      redis.call('PEXPIRE', key, LONG)
    end)
end

function checks.history(_, id)
  local key = attempts .. id
  local left = redis.call('PTTL', key)
  if not has_type(key, 'list') or redis.call('EXISTS', job .. id) == 1 or (left ~= -1 and left <= SLACK) then
    return
  end
  report('history-without-job', id, 'a list of earlier runs, and no record', function()
    redis.call('DEL', key)
  end)
end
