-- fingerprint: what tells a failure from others. The worker makes it of an error and puts it first into the error's line of
-- JSON, see values/fingerprint.py. An error that has none is one that a script found: its function and its type tell it.
-- NEEDS: read
local FINGERPRINT = '^{"fingerprint"."(' .. string.rep('%x', 12) .. ')"'
local function fingerprint_of(id, error)
  local known = string.match(error, FINGERPRINT)
  if known then
    return known
  end
  local func, kind = peek(id, 'func'), string.match(error, '^{[^\n]-"type"."([^"\n]*)"')
  return string.sub(redis.sha1hex((func or '') .. '\n' .. (kind or '') .. '\n\n'), 1, 12)
end
