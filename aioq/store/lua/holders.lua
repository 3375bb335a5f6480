-- holders: the other workers that hold jobs of a queue. A burst asks before it ends, since one of them may be dead.
-- KEYS: main front leases
-- ARGV: worker
-- SAYS: ok
-- Returns the clock in ms, then the name of each and when its lease ends by that clock (0: it has none).
--@include now

local seen, found = {}, {}
for _, lane in ipairs({main, front}) do
  local pending = redis.pcall('XPENDING', lane, 'workers')
  for _, row in ipairs(not pending.err and pending[4] or {}) do
    local name = row[1]
    if name ~= worker and not seen[name] then
      seen[name] = true
      found[#found + 1] = name
      found[#found + 1] = redis.call('ZSCORE', leases, name) or '0'
    end
  end
end
return {'ok', now, found}
