-- edge_scores: what an end means to a job that waits for it, as the score of that job among the dependents of the other one,
-- see more/dependents.lua. By letters, as new jobs bring it; the capital ones are of takers.
local TAKES = 0.5 -- is added for a taker; once it is decided, its score is TAKER
local SOLE = 0.25 -- is added for a job that waits for no other one, see sole_parent.lua
local EDGE_SCORES = {w = 0, r = 1, c = 2, f = 3, W = 0.5, R = 1.5, C = 2.5, F = 3.5}
local function is_taking(score) return score % 1 >= TAKES end
