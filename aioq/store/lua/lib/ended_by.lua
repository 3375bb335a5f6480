-- ended_by: the jobs that the end of one has ended, by the policies of their edges. Its record says in `after` that there
-- are some: `ended`. A requeue of that job may bring them back; then they stand in `ended_by:<id>/back` until that is done.
-- NEEDS: read own
local function has_ended_others(after)
  return after and string.find(' ' .. after .. ' ', ' ended ', 1, true) ~= nil
end
-- rows: policies and names in turn.
local function remember(id, rows)
  if #rows == 0 then
    return
  end
  local left = redis.call('PTTL', job .. id)
  if left == -2 then
    return -- nobody could requeue a job without a record
  end
  redis.call('ZADD', ended_by .. id, unpack(rows))
  set_retention(ended_by .. id, left)
  local after = peek(id, 'after')
  if not has_ended_others(after) then
    redis.call('HSET', job .. id, 'after', after and after .. ' ended' or 'ended')
  end
end
-- The job was requeued: its last end has been taken back. Returns whether there are jobs to bring back.
-- wanted: whether they are to come back; else it is forgotten which they were.
local function take_back(id, after, wanted)
  local key, back = ended_by .. id, ended_by .. id .. '/back'
  if not wanted or redis.call('EXISTS', key) == 0 then
    redis.call('DEL', key)
  elseif redis.call('EXISTS', back) == 1 then -- those of an end before have not all come back yet
    redis.call('ZUNIONSTORE', back, 2, back, key, 'AGGREGATE', 'MAX')
    redis.call('DEL', key)
  else
    redis.call('RENAME', key, back)
    redis.call('PERSIST', back)
  end
  if redis.call('EXISTS', back) == 1 then
    return true
  end
  local others = {}
  for word in string.gmatch(after, '%S+') do
    others[#others + 1] = word ~= 'ended' and word or nil
  end
  if #others > 0 then
    redis.call('HSET', job .. id, 'after', table.concat(others, ' '))
  else
    redis.call('HDEL', job .. id, 'after')
  end
  return false
end
