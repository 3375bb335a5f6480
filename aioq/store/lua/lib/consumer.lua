-- consumer: a worker goes out of the groups of all lanes.
-- The server does not tell its replicas of a consumer that has asked and got nothing, nor of a removal that finds no
-- consumer. So one that only an old primary knows would be there again when that server is the primary again. A consumer
-- that is made first can be removed, and then all servers are told.
-- NEEDS: lanes
local function remove_consumer(worker)
  for _, name in ipairs(SERVED) do
    if redis.call('EXISTS', LANES[name]) == 1 then
      redis.pcall('XGROUP', 'CREATECONSUMER', LANES[name], 'workers', worker)
      redis.pcall('XGROUP', 'DELCONSUMER', LANES[name], 'workers', worker)
    end
  end
end
