-- wake: pass a token on to another idle worker.
-- KEYS: wake job
-- ARGV:
-- SAYS: ok
-- NEEDS: wake
redis.call('DEL', wake) -- not refused when memory is full, so what follows is not either
wake_one()
return {'ok'}
