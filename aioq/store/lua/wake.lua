-- wake: pass a token on to another idle worker.
-- KEYS: wake
-- ARGV:
-- SAYS: ok
--@include wake
wake_one()
return {'ok'}
