-- namespace: the namespace of a test, by the key of its clock, and all keys that are there.
local namespace = string.match(KEYS[1], '^(aioq%-test:[^{}]+):clock$')
if not namespace then
  error('this script is for the namespace of a test, and refuses the key ' .. tostring(KEYS[1]), 0)
end
local function all_keys()
  local found, cursor = {}, '0'
  repeat
    local page = redis.call('SCAN', cursor, 'MATCH', namespace .. ':*', 'COUNT', 1000)
    cursor = page[1]
    for _, key in ipairs(page[2]) do
      found[key] = true -- SCAN may bring a key twice
    end
  until cursor == '0'
  return found
end
