-- notify: tell the processes that wait for a job that it has ended; one message for each, whatever the number
-- of jobs. A part is "<id> <status> <length>\n<bytes>"; a length of - means: too long, load it.
local mail = {}
local function tell(waiters, id, status, bytes, always)
  if not waiters then
    return
  end
  bytes = bytes or ''
  local part = id .. ' ' .. status .. ' -\n'
  if always or #bytes <= 4096 then
    part = id .. ' ' .. status .. ' ' .. #bytes .. '\n' .. bytes
  end
  for channel in string.gmatch(waiters, '%S+') do
    local parts = mail[channel] or {}
    parts[#parts + 1] = part
    mail[channel] = parts
  end
end
local function flush_mail()
  for channel, parts in pairs(mail) do
    redis.pcall('PUBLISH', channel, table.concat(parts)) -- it may be one that this user may not publish to
  end
end
