-- tombstone: what is left of a job whose record goes while the caller of its `enqueue` may still send that call again,
-- because the reply was lost. The repeated call finds it and stores nothing.
-- NEEDS: now read tombstone_of
-- A record has `repeat_ms` only if its caller may repeat the call for longer than this many ms after its first sending.
local REPEATED = 15000
-- left: ms for which the record itself will still be there.
local function leave_tombstone(id, left)
  local created_at, nonce, repeat_ms = peek(id, 'created_at', 'nonce', 'repeat_ms')
  local rest = number(created_at, 0) + number(repeat_ms, REPEATED) - now
  if rest > left then
    redis.call('SET', tombstone_of(id, nonce), '', 'PX', rest)
  end
end
