-- callback_words: the words of a field `after` that name kinds of callbacks, such as on_success.
local function callbacks_in(after)
  local kinds = {}
  for kind in string.gmatch(' ' .. after, ' (on_%l+)') do
    kinds[#kinds + 1] = kind
  end
  return kinds
end
local function has_callback(after, kind)
  return after and kind and string.find(' ' .. after .. ' ', ' ' .. kind .. ' ', 1, true) ~= nil
end
