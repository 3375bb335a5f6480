"""Outbox: what the ends of jobs mean to jobs of other queues, and the jobs of other queues that jobs wait for.

A script reaches one queue. So it leaves a row in the outbox of its queue. Whoever carries rows on calls a script
of the other queue, and then takes the row away. All these calls may be sent twice.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from aioq.store.calls import Calls
from aioq.store.reply import text
from aioq.values.options import EXPIRED_TTL_MS

#: Rows that one call reads.
ROWS_PER_CALL = 100

#: Deferred jobs of which one call tells jobs of other queues again.
TOLD_AGAIN = 50

#: What `depend` answers: the job has not ended; the job is missing.
WAITS, GONE = "waits", "gone"

#: What is added to the policy of a job that takes the result of the other one as an argument; and what stands in
#: its place once the pair is decided. lua/lib/edge_scores.lua and lua/lib/outlive.lua have these numbers, too.
TAKES, TAKER = 0.5, 9.0

#: What `decide` answers for a job that takes a result and has ended, or is gone.
OVER = "over"

#: What `decide` is told of a job that was never there: the one that was to depend on it goes.
UNKNOWN = "unknown"


class Watch(NamedTuple):
    """A job that depends on one of another queue.

    Args:
        job_id: of the job that is waited for.
        dependent: the job that waits, as `<id>@<queue>`.
        policy: the number of its policy; see also TAKES and TAKER.

    """

    job_id: str
    dependent: str
    policy: float


class End(NamedTuple):
    """What the end of a job of another queue is to a job that depends on it.

    Args:
        dependent: the id of the job that waits.
        parent: the job that is waited for, as `<id>@<queue>`.
        policy: the number of the policy.
        status: how that job has ended; or waits, gone, unknown, again.
        child: that child of it which has, as `<id>@<queue>`; "": it is the job itself.

    """

    dependent: str
    parent: str
    policy: float
    status: str
    child: str = ""


class Outbox:
    """The calls between queues, on one of them.

    Args:
        calls: the queue's.

    """

    def __init__(self, calls: Calls) -> None:
        self._calls = calls

    async def depend(self, watches: Sequence[Watch]) -> list[str]:
        """Let jobs of this queue know of dependents in other queues.

        Returns:
            For each: waits, gone, or the state in which the job has ended if that decides the dependent. Behind
            that stands the child of the job that has ended so, if it was one.

        """
        rows = [f"{each.policy:g} {each.job_id} {each.dependent}" for each in watches]

        return [text(each) for each in (await self._calls.call("depend", rows=rows))[1]]

    async def decide(self, ends: Sequence[End]) -> list[End]:
        """Let jobs of this queue know how jobs of other queues have ended.

        Returns:
            Those of jobs that took a result and have ended: the other queue is to let go of them.

        """
        rows = [
            f"{each.dependent} {each.parent} {each.policy:g} {each.status} {each.child}".rstrip() for each in ends
        ]
        found = (await self._calls.call("decide", expired_ttl=EXPIRED_TTL_MS, rows=rows))[1]

        return [each for each, answer in zip(ends, found, strict=True) if text(answer) == OVER]

    async def let_go(self, pairs: Sequence[tuple[str, str]]) -> None:
        """Let jobs of this queue know that jobs of other queues, which took their results, have ended.

        Args:
            pairs: the job of this queue, and the one that took its result as `<id>@<queue>`.

        """
        await self._calls.call("let_go", rows=[f"{job_id} {taker}" for job_id, taker in pairs])

    async def tell_again(self, ids: Sequence[str] = ()) -> int:
        """Write rows that tell jobs of other queues again of deferred jobs that wait for them.

        A server that takes over from another one may have lost that they know it. Told again, it does no harm.

        Args:
            ids: the jobs. Without any: some that are deferred, whichever.

        Returns:
            How many rows were written, which were not there before.

        """
        return int((await self._calls.call("tell_again", chunk=TOLD_AGAIN, ids=list(ids)))[1])

    async def rows(self, done: Sequence[str] = ()) -> tuple[list[str], list[str]]:
        """The oldest rows of this queue, and the queues whose rows may be for this one.

        Args:
            done: rows that have been carried on; they go before others are read.

        """
        reply = await self._calls.call("outbox", chunk=ROWS_PER_CALL, rows=list(done))

        return [text(each) for each in reply[1]], [text(each) for each in reply[2]]
