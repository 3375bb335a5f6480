-- outbox: what is to be done in other queues. A script reaches one queue only, so it writes a row; whoever carries rows on
-- does it there and then takes the row away. Done twice it is harmless.
-- NEEDS: now
local function put_row(...)
  redis.call('ZADD', outbox, now, table.concat({...}, ' '))
end
