-- own: the keys of a job, its record and those of its own beside it. They go together. A feature that keeps another key
-- for each job names it here, and nowhere else in the scripts must anyone think of it.
local function keys_of(id)
  return job .. id, attempts .. id
end
local function set_retention(key, ttl)
  if ttl < 0 then
    redis.call('PERSIST', key)
  else
    redis.call('PEXPIRE', key, ttl)
  end
end
-- ttl: in ms; -1: for ever. has_own: false for a job that has nothing but its record, since it never began.
local function keep_record(id, ttl, has_own)
  set_retention(job .. id, ttl)
  if has_own ~= false then
    set_retention(attempts .. id, ttl)
  end
end
