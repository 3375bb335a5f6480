-- end_job: the one way into a final state, whoever ends the job: its run, a user, its ttl, a lost worker, a repair.
-- The caller has taken the job out of wherever its last state kept it.
-- NEEDS: now keep doors/follow tombstone remove_job own callback outlive
local LONG = 500000 -- ms; a caller may repeat a call for no longer than that, so a record that stays needs no tombstone
local BRIEFLY = 5000 -- ms for which what nobody keeps stays if other jobs take it as an argument; they may prolong that

-- registry: that of the final state.
-- ttl: the ms for which the record is kept (-1: for ever; 0: it goes now, and only those who wait hear of the end).
-- after: the field of this name, or false.
-- has_history: whether the job may have had earlier runs.
-- value: the result or the error. kept: what is stored in its place, if that is something else.
local function end_job(registry, id, status, ttl, after, has_history, ended_at, value, kept)
  if ttl == 0 and is_wanted(after) then
    ttl = BRIEFLY
  elseif ttl == 0 then
    remove_job(id, status, after, value)
    return
  end
  if status == 'failed' then
    -- NEEDS: fingerprint
    redis.call('HSET', job .. id, 'status', status, 'ended_at', ended_at, 'error', value, 'fingerprint',
      fingerprint_of(id, value))
  elseif value then
    redis.call('HSET', job .. id, 'status', status, 'ended_at', ended_at, 'result', kept or value)
  else
    redis.call('HSET', job .. id, 'status', status, 'ended_at', ended_at)
  end
  keep_record(id, ttl, has_history)
  if status ~= 'finished' or not is_callback(id) then -- one that has done its work is nothing that lists show
    keep(registry, id, ttl, ended_at)
  end
  if ttl > 0 and ttl < LONG then
    leave_tombstone(id, ttl)
  end
  if after then
    if after == 'deps' then
      redis.call('HDEL', job .. id, 'after')
    elseif not string.find(after, '^group=[^%s@!]+$') then -- what makes it a member of a group stays
      local stays, member = {}, string.match(' ' .. after, ' (group=[^%s!]+)')
      if string.find(' ' .. after, ' on_', 1, true) then
        -- NEEDS: callback_words
        stays = callbacks_in(after) -- each end has them: see requeue
      end
      if is_wanted(after) then
        stays[#stays + 1] = 'wanted' -- a requeue may bring what is taken
      end
      if member then
        stays[#stays + 1] = string.find(member, '@', 1, true) and member .. '!' or member
      end
      if string.find(' ' .. after .. ' ', ' ended ', 1, true) then
        -- MAKES: ended_by
        set_retention(ended_by .. id, ttl) -- a failed job that is canceled may still bring them back
        stays[#stays + 1] = 'ended'
      end
      if has_tags(after) then
        stays[#stays + 1] = 'tags'
        tag_later(id, ttl < 0 and '+inf' or now + ttl)
      end
      for word in string.gmatch(' ' .. after, ' (child%S+)') do
        stays[#stays + 1] = word
      end
      redis.call('HDEL', job .. id, 'after')
      if #stays > 0 then
        redis.call('HSET', job .. id, 'after', table.concat(stays, ' '))
      end
    end
    follow(id, status, after, value, kept)
  end
end
