-- tags: the jobs with a tag, so that they are found without looking at all jobs.
-- `tag:<tag>` lists them, each by when its retention is over; +inf: it has not ended, or is kept for ever. `tags` lists all
-- tags by when they go, with the last of their jobs. The keys live a little longer, as registries do.
-- NEEDS: now spare own
local function settle_tag(t)
  local goes = tonumber(redis.call('ZRANGE', tag .. t, -1, -1, 'WITHSCORES')[2] or 0)
  if goes <= now then
    redis.call('ZREM', tags, t)
    redis.call('DEL', tag .. t)
    return
  end
  redis.call('ZADD', tags, goes == math.huge and '+inf' or goes, t)
  set_retention(tag .. t, goes == math.huge and -1 or goes - now + SPARE)
  local last = tonumber(redis.call('ZRANGE', tags, -1, -1, 'WITHSCORES')[2])
  set_retention(tags, last == math.huge and -1 or last - now + SPARE)
end
-- rows: jobs, in the order of what became of them: id, tags (with commas), and when the retention is over; 0: its record goes.
local function list_tags(rows)
  local found, order = {}, {}
  for i = 1, #rows, 3 do
    for t in string.gmatch(rows[i + 1] or '', '[^,]+') do
      if not found[t] then
        found[t] = {}
        order[#order + 1] = t
      end
      found[t][rows[i]] = rows[i + 2]
    end
  end
  for _, t in ipairs(order) do
    local members, gone = {}, {}
    for id, goes in pairs(found[t]) do
      if goes == 0 then
        gone[#gone + 1] = id
      else
        members[#members + 1] = goes
        members[#members + 1] = id
      end
    end
    for at = 1, #gone, 1000 do -- unpack takes less than 8000
      redis.call('ZREM', tag .. t, unpack(gone, at, math.min(at + 999, #gone)))
    end
    for at = 1, #members, 1000 do
      redis.call('ZADD', tag .. t, unpack(members, at, math.min(at + 999, #members)))
    end
    settle_tag(t)
  end
end
