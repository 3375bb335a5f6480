-- load: the stored fields of jobs, as a reader must see them; nothing for a job that is not there.
-- KEYS: job attempts
-- ARGV: ids...
-- SAYS: ok
-- NEEDS: view

local found = {}
for i = ids, #ARGV do
  found[#found + 1] = view(job .. ARGV[i])
end
return {'ok', found}
