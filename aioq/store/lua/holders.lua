-- holders: the other workers that hold jobs of a queue. A burst asks before it ends, since one of them may be dead.
-- KEYS: main front leases job
-- ARGV: worker
-- SAYS: ok
-- NEEDS: now lanes
-- Returns the clock in ms, then the name of each and when its lease ends by that clock (0: it has none).

local seen, found = {}, {}
for _, name in ipairs(SERVED) do
  local pending = redis.pcall('XPENDING', LANES[name], 'workers')
  for _, row in ipairs(not pending.err and pending[4] or {}) do
    local holder = row[1]
    if holder ~= worker and not seen[holder] then
      seen[holder] = true
      found[#found + 1] = holder
      found[#found + 1] = redis.call('ZSCORE', leases, holder) or '0'
    end
  end
end
return {'ok', now, found}
