-- remove_job: a record goes, and with it all that is kept of its job. Those who wait hear of it.
-- status: how the job ended, as they are told. value: the result or the error.
-- NEEDS: doors/follow tombstone own
local function remove_job(id, status, after, value)
  leave_tombstone(id, 0)
  if after then
    follow(id, status, after, value, true, true) -- while the record is there: what follows may carry what it holds
    if string.find(' ' .. after .. ' ', ' ended ', 1, true) then
      -- MAKES: ended_by
      redis.call('DEL', ended_by .. id, ended_by .. id .. '/back')
    end
  end
  redis.call('DEL', keys_of(id))
end
