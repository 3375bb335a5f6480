-- finish: started jobs whose function returned; keep their results.
-- KEYS: main front job attempts finished
-- ARGV: jobs...
-- SAYS: ok
-- MAKES: gone
-- NEEDS: now keep doors/follow doors/end_job holds outlive
-- A job is: id, fence, result, ttl (ms; -1: for ever). Of a result that is not kept, there is no ttl, but what is stored
-- in place of the result: nothing, or the signature of nothing. Whoever waits gets the result all the same. If jobs take it as
-- an argument, it is stored until they have ended.
-- Returns position (from 0) and verdict of each job that was not recorded: already, stale or gone.

local UNKEPT = 5000 -- ms in which a job without a kept result can still be seen to have finished

local run, refused, afters = judge(ARGV, jobs, 4, 'finished')
for _, at in ipairs(run) do
  local id, has_history, ttl, kept = ARGV[at], ARGV[at + 1] ~= '1', tonumber(ARGV[at + 3]), nil
  if not ttl then
    ttl, kept = UNKEPT, not is_wanted(afters[at]) and ARGV[at + 3] or nil
    redis.call('HDEL', job .. id, 'data')
  end
  end_job(finished, id, 'finished', ttl, afters[at], has_history, now, ARGV[at + 2], kept)
  if has_history then
    redis.call('HDEL', job .. id, 'error')
  end
end
flush_kept()
flush_ends()
return {'ok', refused}
