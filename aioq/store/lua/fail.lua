-- fail: started jobs whose function raised, with no attempt left.
-- KEYS: main front job attempts failed
-- ARGV: failure_ttl jobs...
-- SAYS: ok
-- A job is: id, fence, error. failure_ttl (ms) holds for jobs without their own.
-- Returns position (from 0) and verdict of each job that was not recorded: already, stale or gone.
--@include now
--@include leave
--@include usual
--@include keep
--@include notify
--@include holds
--@include bury

local refused, run = {}, {}

for at = jobs, #ARGV, 3 do
  local verdict, seen = holds(ARGV[at], ARGV[at + 1], 'failed')
  if verdict == 'ok' then
    leave_lane(seen[3])
    run[#run + 1] = {at, seen}
  else
    refused[#refused + 1] = (at - jobs) / 3
    refused[#refused + 1] = verdict
  end
end
flush_lanes()

for _, each in ipairs(run) do
  bury(ARGV[each[1]], ARGV[each[1] + 2], each[2][4], each[2][5] or failure_ttl)
end
flush_kept()
flush_mail()
return {'ok', refused}
