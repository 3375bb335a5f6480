-- failures: one page of the fingerprints of failed jobs, and what is known of each.
-- KEYS: job attempts
-- ARGV: only skip limit
-- SAYS: ok
-- MAKES: fingerprints fingerprint alike
-- NEEDS: now
-- only: one fingerprint, or ''. skip: so many are passed over. limit: the most that are looked at.
-- Returns for each its name, how many jobs are listed under it now, and its fields; the clock; and how many were looked at.

local names = {only}
if only == '' then
  names = redis.call('ZRANGE', fingerprints, skip, skip + limit - 1)
end
local found = {}
for _, f in ipairs(names) do
  local fields = redis.call('HGETALL', fingerprint .. f)
  if #fields > 0 then
    found[#found + 1] = {f, redis.call('ZCOUNT', alike .. f, '(' .. now, '+inf'), fields}
  end
end
return {'ok', found, now, #names}
