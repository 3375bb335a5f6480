-- mute: nobody wants to see the failures with a fingerprint, until a moment or until they are unmuted.
-- KEYS: job attempts
-- ARGV: f ms by call repeat_ms
-- SAYS: ok gone
-- MAKES: fingerprints fingerprint alike done
-- NEEDS: now more/fingerprints receipt
-- ms: for how long; -1: until they are unmuted; 0: they are unmuted. by: who says so. What is muted is remembered even if
-- none of its jobs is left.

local sent_before = receipt()
if sent_before then
  return sent_before
end
if redis.call('EXISTS', fingerprint .. f) == 0 then
  return {'gone'}
end
ms = tonumber(ms)
if ms == 0 then
  redis.call('HDEL', fingerprint .. f, 'muted_until', 'muted_by')
else
  redis.call('HSET', fingerprint .. f, 'muted_until', ms < 0 and -1 or now + ms, 'muted_by', by)
end
settle_fingerprint(f)
return keep_receipt({'ok'}, {f})
