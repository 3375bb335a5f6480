-- statistics: what is stored of one page of the minutes or the hours; and what waits in the queue now.
-- KEYS: main front scheduled leases job
-- ARGV: step page
-- SAYS: ok
-- MAKES: minutes hours
-- NEEDS: now sample
-- page: its number; '': none, only what waits. Returns the clock, the fields of the page with their words; and without a
-- page how many jobs wait, run and are scheduled, the ms for which the oldest one has waited (-1: none waits), how many
-- entries the lanes have ever got, and the number of workers.

if page ~= '' then
  return {'ok', now, redis.call('HGETALL', (step == 'hour' and hours or minutes) .. page)}
end
local found = sample()
return {
  'ok', now, {}, found.waiting, found.running, found.scheduled, found.age_ms, found.added,
  redis.call('ZCOUNT', leases, now, '+inf'),
}
