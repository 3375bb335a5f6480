-- own: the keys of a job, its record and those of its own beside it. They go together. A feature that keeps another key
-- for each job names it here, and nowhere else in the scripts must anyone think of it.
local function keys_of(id)
  return job .. id, attempts .. id
end
-- ttl may come from a score that somebody else has written: a fraction, or more than the server takes.
local LONGEST = 1e15
local function set_retention(key, ttl)
  if ttl < 0 or ttl > LONGEST then
    redis.call('PERSIST', key)
  else
    redis.call('PEXPIRE', key, math.ceil(ttl))
  end
end
-- ttl: in ms; -1: for ever. has_own: false for a job that has nothing but its record, since it never began.
local function keep_record(id, ttl, has_own)
  set_retention(job .. id, ttl)
  if has_own ~= false then
    set_retention(attempts .. id, ttl)
  end
end
