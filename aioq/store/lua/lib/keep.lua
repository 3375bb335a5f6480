-- keep: enter the registry of a final state, with the retention of the record in ms (-1: for ever).
-- A registry is ordered by when its jobs ended; its companion `<registry>:until` by when they are forgotten. Jobs with
-- the usual retention stand in `<registry>:usual` instead: one entry, not two.
-- NEEDS: now spare usual own
local kept = {}
-- A score is the ms in which a job ended and, behind the point, its place among the others of that ms: the microsecond
-- in which the script began, and its turn in the script. A double has room for 4096 places; a job takes the script far
-- longer than one of them, so the next script begins behind.
local place = math.floor(now_us * 3.5)
local function in_order(ended_at)
  place = math.min(place + 1, 4095)
  return ended_at + place / 4096
end
local function keep(registry, id, ttl, ended_at)
  local rows = kept[registry]
  if not rows then
    rows = {usual = {}, ended = {}, forgotten = {}, longest = 0, life = usual_life(registry)}
    rows.failed = string.match(registry, '%a+$') == 'failed' and {} or nil
    kept[registry] = rows
  end
  ended_at = ended_at or now
  if rows.failed then
    rows.failed[#rows.failed + 1] = id
    rows.failed[#rows.failed + 1] = ttl < 0 and '+inf' or now + ttl
    rows.failed[#rows.failed + 1] = ended_at
  end
  if now + ttl == ended_at + rows.life then
    rows.usual[#rows.usual + 1] = in_order(ended_at)
    rows.usual[#rows.usual + 1] = id
    return
  end
  rows.ended[#rows.ended + 1] = in_order(ended_at)
  rows.ended[#rows.ended + 1] = id
  if ttl < 0 then
    rows.forever = true
    -- A job with the same id may have been forgotten and not swept yet; its row would hide this one.
    redis.call('ZREM', registry .. ':until', id)
  else
    rows.forgotten[#rows.forgotten + 1] = now + ttl
    rows.forgotten[#rows.forgotten + 1] = id
    rows.longest = math.max(rows.longest, ttl)
  end
end
local function add_members(key, members)
  for at = 1, #members, 1000 do -- unpack takes less than 8000
    redis.call('ZADD', key, unpack(members, at, math.min(at + 999, #members)))
  end
end
-- What a forgotten job with the same id has left in the other index goes.
local function remove_members(key, members)
  if #members > 0 and redis.call('EXISTS', key) == 1 then
    for at = 2, #members, 2 do
      redis.call('ZREM', key, members[at])
    end
  end
end
-- They live a little longer than their longest kept member, so they go even if no worker ever sweeps. A registry and its
-- companion live equally long: a member that had lost its row there would be taken for one that is kept for ever.
local function flush_kept()
  for registry, rows in pairs(kept) do
    remove_members(registry, rows.usual)
    remove_members(registry .. ':until', rows.usual)
    remove_members(registry .. ':usual', rows.ended)
    if #rows.usual > 0 then
      add_members(registry .. ':usual', rows.usual)
      redis.call('PEXPIRE', registry .. ':usual', rows.life + SPARE)
    end
    if #rows.ended > 0 then
      local left = redis.call('PTTL', registry)
      local life = (rows.forever or left == -1) and -1 or math.max(left, rows.longest + SPARE)
      add_members(registry, rows.ended)
      add_members(registry .. ':until', rows.forgotten)
      set_retention(registry, life)
      set_retention(registry .. ':until', life)
    end
    if rows.failed then
      -- MAKES: fingerprints fingerprint alike
      -- NEEDS: more/fingerprints
      list_failures(rows.failed)
    end
    kept[registry] = nil
  end
end
