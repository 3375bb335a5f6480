-- fail: started jobs whose function raised, with no attempt left.
-- KEYS: main front job attempts failed
-- ARGV: failure_ttl jobs...
-- SAYS: ok
-- MAKES: gone
-- NEEDS: now read keep doors/follow doors/end_job holds
-- A job is: id, fence, error. failure_ttl (ms) holds for jobs without their own.
-- Returns position (from 0) and verdict of each job that was not recorded: already, stale or gone.

local run, refused, afters, own_ttls = judge(ARGV, jobs, 3, 'failed', 'failure_ttl')
for _, at in ipairs(run) do
  local ttl = number(own_ttls[at], tonumber(failure_ttl))
  end_job(failed, ARGV[at], 'failed', ttl, afters[at], ARGV[at + 1] ~= '1', now, ARGV[at + 2])
end
flush_kept()
flush_ends()
return {'ok', refused}
