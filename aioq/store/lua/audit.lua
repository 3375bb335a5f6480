-- audit: tell of something that was done with the queue, and not by a script that tells of it itself.
-- KEYS: job attempts
-- ARGV: call repeat_ms count subjects...
-- SAYS: ok
-- MAKES: done
-- NEEDS: receipt
-- call: a word for this call, and the act: see lib/receipt.lua and lib/audit.lua.

local sent_before = receipt()
if sent_before then
  return sent_before
end
local told = {}
for i = subjects, #ARGV do
  told[#told + 1] = ARGV[i]
end
return keep_receipt({'ok'}, told, tonumber(count))
