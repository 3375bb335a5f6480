-- transition: the table of values/states.py; a test proves the two equal.
local NEXT = {
  queued = {claim = true, expire = true, cancel = true},
  scheduled = {promote = true, cancel = true},
  started = {finish = true, fail = true, retry = true, give_back = true, reclaim = true, cancel = true, stop = true},
  finished = {},
  failed = {requeue = true, cancel = true},
  canceled = {requeue = true},
  stopped = {requeue = true},
  expired = {requeue = true},
}
local FINAL = {finished = true, failed = true, canceled = true, stopped = true, expired = true}
local function allows(status, verb)
  return status and NEXT[status] and NEXT[status][verb] or false
end
