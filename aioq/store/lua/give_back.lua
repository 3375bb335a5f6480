-- give_back: a worker gives back jobs that it will not run to their end; they go to the front of the queue.
-- KEYS: main front wake expiring job attempts
-- ARGV: expired_ttl jobs...
-- SAYS: ok
-- NEEDS: wake lane holds history
-- A job is: id, fence, begun (1: its function had been called, which counts as a delivery; 0: not yet).
-- The attempt is not used up. Returns position (from 0) and verdict of each job that was not recorded.

expired_ttl = tonumber(expired_ttl)

local run, refused = judge(ARGV, jobs, 3)
for _, at in ipairs(run) do
  local id, begun = ARGV[at], ARGV[at + 2] == '1'
  count_up(id, 'uncounted')
  if begun then
    archive(id, 'interrupted', '') -- the record may still hold the error of an earlier run
    count_up(id, 'deliveries')
  else
    clear_run(id)
  end
  return_to_lane(id, 'front')
end
if #run > 0 then
  wake_one()
end
return {'ok', refused}
