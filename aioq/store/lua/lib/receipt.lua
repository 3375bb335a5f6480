-- receipt: the answer of a call that has changed something, under the word that the caller made for this call, for as
-- long as the caller may send it again (`repeat_ms`). Sent again, the call gets that answer and changes nothing.
-- A caller that sends nothing again gives no word. One that says who acts has this behind the word: see audit.lua.
local call, act = string.match(call, '^(%S*) ?(.*)$')
local function receipt()
  local answer = call ~= '' and redis.call('GET', done .. call)
  return answer and cjson.decode(answer)
end
-- subjects, count: what was changed, and how many there were, for the audit.
local function keep_receipt(answer, subjects, count)
  if act ~= '' then
    -- NEEDS: audit
    note_act(act, subjects, count or #subjects)
  end
  if call ~= '' then
    redis.call('SET', done .. call, cjson.encode(answer), 'PX', repeat_ms)
  end
  return answer
end
