-- receipt: the answer of a call that has changed something, under the word that the caller made for this call, for as
-- long as the caller may send it again (`repeat_ms`). Sent again, the call gets that answer and changes nothing.
-- A caller that sends nothing again gives no word.
local function receipt()
  local answer = call ~= '' and redis.call('GET', done .. call)
  return answer and cjson.decode(answer)
end
local function keep_receipt(answer)
  if call ~= '' then
    redis.call('SET', done .. call, cjson.encode(answer), 'PX', repeat_ms)
  end
  return answer
end
