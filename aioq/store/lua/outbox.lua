-- outbox: what is to be done in other queues, the oldest first.
-- KEYS: outbox sources job
-- ARGV: chunk rows...
-- SAYS: ok
-- rows: those that have been done since; they go.
-- Returns rows, and the queues whose jobs the jobs of this one wait for: their rows may be for this one.
if rows <= #ARGV then
  redis.call('ZREM', outbox, unpack(ARGV, rows))
end
return {'ok', redis.call('ZRANGE', outbox, 0, chunk - 1), redis.call('SMEMBERS', sources)}
