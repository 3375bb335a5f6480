-- tags: a job is listed under each of its tags, and nothing else is.
-- NEEDS: now FINAL finding
-- It needs functions that are made each time, so it is called for a job with tags alone.
local function check_given_tags(id, record, given)
  -- NEEDS: more/tags
  for t in string.gmatch(given, '[^,]+') do
    local listed = score(tag .. t, id)
    local is_over = listed and listed ~= math.huge and not FINAL[record.status]
    if not listed or is_over then
      report('tag-differs', id, 'its tag ' .. t .. ' does not list it' .. (is_over and ' for as long as it is there' or ''),
        function()
          list_tags({id, given, record.left > 0 and now + record.left or '+inf'})
        end)
      return true
    end
  end
end
local function check_tags(id, record)
  return record.tags and check_given_tags(id, record, record.tags)
end

function checks.listed_tag(_, t)
  if score(tags, t) and redis.call('EXISTS', tag .. t) == 0 then
    report('tag-differs', t, 'a tag is listed, and has no jobs', function()
      redis.call('ZREM', tags, t)
    end)
  end
end

function checks.tag(_, t)
  -- NEEDS: more/tags
  local key, SOME = tag .. t, 100 -- jobs that are looked at; over time, all of them
  if not has_type(key, 'zset') then
    return
  end
  if redis.call('EXISTS', key) == 1 and not score(tags, t) then
    report('tag-differs', t, 'a tag is on no list', function()
      settle_tag(t)
    end)
    return
  end
  for _, id in ipairs(redis.call('ZRANDMEMBER', key, SOME)) do
    local is_readable, status, known = look(id, 'tags')
    local goes = score(key, id)
    local has_it = string.find(',' .. (known or '') .. ',', ',' .. t .. ',', 1, true)
    -- One without a record is no damage: the next sweep drops it.
    if is_readable and status and (goes or 0) > now + SLACK and not has_it then
      report('tag-differs', id, 'the tag ' .. t .. ' lists it, and it does not have that one', function()
        redis.call('ZREM', key, id)
        settle_tag(t)
      end)
    end
  end
end
