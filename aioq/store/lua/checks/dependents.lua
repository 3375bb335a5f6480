-- dependents: a job that waits for others is listed by each of them, and they are there. Those of other queues are out of
-- reach here: what is to be told them, or comes from them, stands in an outbox.
-- NEEDS: now FINAL read finding own doors/follow ended_by children checks/takers checks/edge

function checks.deferred(_, id)
  if not score(deferred, id) then
    return
  end
  local is_readable, status = look(id)
  if is_readable and status ~= 'deferred' then
    report(status and 'job-in-wrong-index' or 'index-without-job', id,
      'it is in the index of deferred jobs, and ' .. (status and 'is ' .. status or 'has no record'), function()
      redis.call('ZREM', deferred, id)
    end)
  end
end

-- The end of the deferred_ttl of a job.
function checks.deferred_deadline(_, id)
  if not score(deferred .. ':until', id) then
    return
  end
  local is_readable, status, expires_at = look(id, 'expires_at')
  if is_readable and not (status == 'deferred' and expires_at) then
    report(status and 'job-in-wrong-index' or 'index-without-job', id, 'it is in the index of deadlines of deferred jobs, and '
      .. (status and 'does not wait there' or 'has no record'), function()
      redis.call('ZREM', deferred .. ':until', id)
    end)
  end
end

-- What a job waits for.
function checks.open(_, id)
  local key = open .. id
  if not has_type(key, 'set') then
    return
  end
  local is_readable, status = look(id)
  if is_readable and status ~= 'deferred' then
    report('index-without-job', id, 'it is listed what it waits for, and it does not wait', function()
      redis.call('DEL', key)
    end)
    return
  end
  for _, parent in ipairs(redis.call('SRANDMEMBER', key, SOME)) do
    check_edge(id, parent)
  end
end

-- The jobs that wait for one.
function checks.dependents(_, id)
  local key = dependents .. id
  if not has_type(key, 'zset') then
    return
  elseif redis.call('EXISTS', job .. id, children .. id) > 0 then
    check_held(id)
    return
  end
  report('index-without-job', id, 'jobs wait for it, and it has no record', function()
    decide_later(id, 'gone', true)
  end)
end

-- The jobs that the end of one has ended: they go with the record, which says that there are some.
function checks.ended_by(_, name)
  local key, id = ended_by .. name, string.match(name, '^[^/]+')
  if not has_type(key, 'zset') then
    return
  end
  local is_readable, status = look(id)
  local left = redis.call('PTTL', key)
  if is_readable and not status and left >= 0 and left <= SLACK then
    return
  elseif is_readable and not status then
    report('index-without-job', id, 'jobs are listed that its end has ended, and it has no record', function()
      redis.call('DEL', key)
    end)
  elseif is_readable and not has_ended_others((peek(id, 'after'))) then
    report('index-differs', id, 'jobs are listed that its end has ended, and its record does not say so', function()
      redis.call('DEL', key)
    end)
  elseif left == -1 and redis.call('PTTL', job .. id) >= 0 then
    report('no-retention', id, 'the list of the jobs that its end has ended would stay for ever', function()
      set_retention(key, redis.call('PTTL', job .. id))
    end)
  end
end

-- A job and its children, as far as they have not finished.
function checks.children(_, id)
  local key = children .. id
  if not has_type(key, 'zset') then
    return
  end
  for _, member in ipairs(redis.call('ZRANDMEMBER', key, SOME)) do
    local is_readable, status = look(member)
    local stands = not status and GONE or FINAL[status] and UNFINISHED or OPEN
    if is_readable and (status == 'finished' or score(key, member) ~= stands) then
      report('child-differs', id, 'it is listed how its child ' .. member .. ' stands, and that is not so', function()
        if stands == OPEN then
          redis.call('ZADD', key, OPEN, member)
        else
          leave_children(id, member, status, stands == GONE)
          decide_children_later(id, member)
        end
      end)
    end
  end
end

-- A row is carried on within seconds by whoever wrote it, or by any worker of one of the two queues.
function checks.outbox(_, row)
  local written_at = score(outbox, row)
  if written_at and now - written_at > 60000 then
    report('row-not-carried', row, 'it is to be carried to another queue, and stands there since '
      .. math.floor((now - written_at) / 1000) .. ' s')
  end
end
