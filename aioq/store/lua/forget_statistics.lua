-- forget_statistics: remove all statistics of a queue, and its list of workers that have left.
-- KEYS: departed job
-- ARGV:
-- SAYS: ok
-- MAKES: minutes hours
-- NEEDS: now figures

for _, page in ipairs(PAGES) do
  local last = math.floor(now / page.page)
  for number = last - page.kept / page.page - 1, last do
    redis.call('DEL', page.key .. string.format('%.0f', number))
  end
end
redis.call('DEL', departed)
return {'ok'}
