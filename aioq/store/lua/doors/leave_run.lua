-- leave_run: the door out of a run. Each run that ends goes through it once, whoever ends it and whether its job ends
-- with it or not: what is recorded of a run (`judge`), a lost worker, a cancel, a stop, a delete, a repair.
-- What a run holds is given back here. Today that is its place in a lane. What `claim` takes for a run besides (see
-- `start` there), such as a place under a limit, belongs here too. A word in the field `after`, which everyone who ends a
-- run reads anyway, can say that a job has such things, so that no other job is asked for them.
-- NEEDS: leave
local function leave_run(_, entry) -- the id, and the lane entry of the run
  leave_lane(entry)
end
