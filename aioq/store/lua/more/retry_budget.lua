-- retry_budget: how many retries a queue takes, as a bucket of tokens that fills at a steady rate: `limit` in `per` ms,
-- and at most `at_once` of them at once. A retry without a token is held back until it has one; none fails for that.
-- What is stored is one moment, `spent_until`: all tokens that have been taken are back then. It is ahead of the clock by
-- the time that the bucket needs to fill, and by more than that if retries are held back.
-- rate: the values of these four fields. Returns nothing if they are no budget.
-- NEEDS: now read
local function read_budget(rate)
  local most, per, at_once = number(rate[1]), number(rate[2]), number(rate[3])
  if not most or not per or not at_once or most < 1 or per < 1 or at_once < 1 then
    return nil -- it is damaged, and what nobody can read holds nothing back
  end
  local each = per / most -- ms for a token
  local room = (at_once - 1) * each
  local spent_until = tonumber(rate[4] or '') or now
  if spent_until ~= spent_until or math.abs(spent_until) > 1e15 then
    spent_until = now -- it is no moment, and retries would be held back for ever
  end
  return {
    -- Takes the next token. Returns for how many ms the retry must wait for it.
    take = function()
      spent_until = math.max(spent_until, now)
      local wait = math.max(0, math.ceil(spent_until - room - now))
      spent_until = spent_until + each
      return wait
    end,
    save = function()
      redis.call('HSET', retry_budget, 'spent_until', string.format('%.3f', spent_until))
    end,
  }
end
