-- deferred: jobs wait for other jobs no longer. The last one takes the list of the queues that they are in along.
local no_longer_deferred = {}
local function leave_deferred(id)
  no_longer_deferred[#no_longer_deferred + 1] = id
end
local function flush_deferred()
  if #no_longer_deferred > 0 then
    redis.call('ZREM', deferred, unpack(no_longer_deferred))
    no_longer_deferred = {}
    if redis.call('EXISTS', deferred) == 0 then
      redis.call('DEL', sources)
    end
  end
end
