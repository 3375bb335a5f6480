-- decide: what the ends of jobs of other queues mean to jobs of this one that depend on them.
-- KEYS: main front wake scheduled expiring job attempts registries
-- ARGV: expired_ttl rows...
-- SAYS: ok
-- MAKES: gone deferred open dependents ended_by children undecided outbox sources
-- NEEDS: read FINAL outlive more/dependents doors/follow remove_job keep deferred edge_scores
-- A row is: the dependent, the other job as <id>@<queue>, the policy, how that one ended, and the child of it that did, if it
-- was one, as <id>@<queue>. waits: it has not ended, and
-- knows of the dependent. unknown: there is none, and the dependent is not to be. again: it was requeued, and brings the
-- dependent back, if its end had ended that. Each pair is decided once. A row that has an older edition of the dependent is
-- late, and means nothing: <id>#<edition>.
-- Returns for each row whether it is of a taker, and this edition of it has ended or is gone: over, else live. The other queue
-- is to let go of it.
expired_ttl = tonumber(expired_ttl)
local function return_to(id, parent)
  -- NEEDS: more/returning
  wait_again(id, parent)
end
local found = {}
for i = rows, #ARGV do
  local dependent, parent, number_of_policy, status, child =
    string.match(ARGV[i], '^(%S+) (%S+) ([%d.]+) (%l+) ?(%S*)$')
  local id, edition = string.match(dependent, '^([^#]+)#?(%d*)$')
  local score = tonumber(number_of_policy)
  redis.call('ZREM', outbox, 'depend ' .. parent .. ' ' .. number_of_policy .. ' ' .. dependent)
  if edition ~= (peek(id, 'edition') or '') then
    status = 'waits'
  end
  if status == 'unknown' then
    if peek(id, 'status') == 'deferred' then
      leave_deferred(id, true)
      redis.call('DEL', open .. id)
      remove_job(id, 'gone', (peek(id, 'after')))
    end
  elseif status == 'again' then
    return_to(id, parent)
  elseif status ~= 'waits' then
    decide(id, math.floor(score), parent, status, child ~= '' and child or nil)
  end
  local becomes, edition_now = peek(id, 'status', 'edition')
  local has_ended = not becomes or FINAL[becomes] or edition ~= (edition_now or '')
  local is_taker = is_taking(score) or score == TAKER
  found[#found + 1] = is_taker and has_ended and 'over' or 'live'
end
flush_decided()
flush_kept()
flush_ends()
return {'ok', found}
