-- failure: what went wrong in a run, as values/failure.py packs it: a line of JSON, and the text.
-- kind: an error of aioq. message: one line.
local function failure(kind, message)
  return cjson.encode({type = 'aioq.errors.' .. kind, message = message}) .. '\n' .. kind .. ': ' .. message
end
