-- clear: remove all keys of a test's namespace. Brings how many there were.
-- KEYS: the clock.
-- NEEDS: namespace
local count = 0
for key in pairs(all_keys()) do
  count = count + redis.call('UNLINK', key)
end
return count
