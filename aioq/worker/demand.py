"""Demand: how many jobs a worker wants from its server, and when it asks for them.

A worker asks while it expects jobs. When a claim brings fewer jobs than it has asked for, the queues are empty.
The worker then expects none until a token comes (see Waker) or a scheduled job is due. A round trip that records
outcomes asks for jobs in any case.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from aioq.worker.pace import Pace
from aioq.worker.route import Route
from aioq.worker.run import Run

#: How many outcomes or jobs one round trip carries at the most. The server needs some milliseconds for them, and
#: answers nobody else meanwhile.
JOBS_PER_ROUND_TRIP = 200

#: The longest wait for a scheduled job, in seconds; then the server is asked again.
LONGEST_WAIT_S = 3600.0


@dataclass(slots=True)
class Limits:
    """What a worker was told: whether to claim, how much, and when to be done."""

    claiming: bool = True
    burst: bool = False
    jobs_left: int | None = None


class Demand:
    """What the worker wants to claim, and what it has claimed.

    Args:
        concurrency: how many jobs run side by side.
        limits: what the worker was told.

    """

    def __init__(self, concurrency: int, limits: Limits) -> None:
        self.concurrency = concurrency
        self.limits = limits
        self.pace = Pace(concurrency)
        #: Set when something has changed that the courier should look at.
        self.changed = asyncio.Event()
        #: Set while the worker could run more jobs and expects none.
        self.idle = asyncio.Event()
        self.expects_jobs = True
        #: How often somebody has told that there may be jobs.
        self.hints = 0
        #: How many jobs were claimed.
        self.claimed = 0
        #: How many jobs the round trips under way have asked for.
        self.asked = 0
        #: The queue of a job that must run alone, while the worker runs that job or gets empty for it. Meanwhile
        #: it wants no other jobs.
        self.reserved_for: Route | None = None
        #: The run of that job, until its end is recorded.
        self.alone: Run | None = None
        #: How many jobs one claim may bring; less than usual after a reply that was perhaps too long.
        self.claim_limit = JOBS_PER_ROUND_TRIP
        self._due: asyncio.TimerHandle | None = None
        self._suspects: list[Run] = []

    @property
    def suspects(self) -> int:
        """How many jobs run here that came from quarantine."""
        if self._suspects:
            self._suspects = [run for run in self._suspects if not run.is_over]

        return len(self._suspects)

    @property
    def may_bring_jobs(self) -> bool:
        """Whether a hint has not been followed yet, or a claim is under way."""
        return self.expects_jobs or self.asked > 0

    def expect_jobs(self) -> None:
        """Take a hint: there may be jobs to claim."""
        self.expects_jobs = True
        self.hints += 1
        self.idle.clear()
        self.changed.set()

    def stop(self) -> None:
        """Claim nothing more; outcomes are still recorded."""
        self.limits.claiming = False
        self.changed.set()

    def room(self, held: int, unrecorded: int) -> int:
        """How many jobs may be claimed now.

        Args:
            held: how many jobs the worker has.
            unrecorded: how many outcomes wait. If there are more of them than slots, the line is slow, and
                nothing is claimed.

        """
        limits, concurrency = self.limits, self.concurrency

        if not limits.claiming or unrecorded > concurrency:
            return 0

        room = concurrency + self.pace.ahead - held - self.asked

        if limits.jobs_left is not None:
            room = min(room, limits.jobs_left - self.asked)

        return max(0, min(room, concurrency, self.claim_limit))

    def count(self, jobs: int) -> None:
        """Count claimed jobs; with a negative number, jobs that go back before they have begun."""
        self.claimed += jobs

        if self.limits.jobs_left is not None:
            self.limits.jobs_left -= jobs

    def conclude(self, hints: int, missing: int, due_ms: Sequence[int]) -> None:
        """Decide after a claim whether there may be more jobs.

        Args:
            hints: how many hints there had been when the claim was sent.
            missing: how many jobs fewer came than the claim has asked for.
            due_ms: in how many ms the queues are to be asked again; negative: nothing is due.

        """
        if missing <= 0:
            self.expects_jobs = True
        elif hints == self.hints:  # a hint that came meanwhile may be for a job that this claim did not see
            self.expects_jobs = False

        if self._due is not None:
            self._due.cancel()
            self._due = None

        if not self.expects_jobs and (waits_ms := [ms for ms in due_ms if ms >= 0]):
            # A millisecond more: the server counts whole ones, and must not be asked just before.
            seconds = min(min(waits_ms) / 1000, LONGEST_WAIT_S) + 0.001
            self._due = asyncio.get_running_loop().call_later(seconds, self.expect_jobs)

    def ask_for_fewer(self, wanted: int) -> None:
        """Let the next claim bring fewer jobs: the reply of one that asked for so many may have been too long."""
        if wanted:
            self.claim_limit = max(1, min(self.claim_limit, wanted) // 2)

    # Jobs from quarantine

    def add_suspects(self, runs: Sequence[Run], *, alone: Run | None) -> None:
        """Note runs of jobs that came from quarantine; alone: the one that must run alone."""
        self._suspects += runs
        self.alone = alone or self.alone

    def note_recorded(self, run: Run) -> None:
        """The server does not take the worker to have this job any more."""
        if run is self.alone:
            self.alone = None
            self.leave_set_aside()

    def leave_set_aside(self) -> None:
        """Be reserved no more for a queue that is set aside: it cannot say that this is over."""
        if self.alone is None and self.reserved_for is not None and self.reserved_for.is_aside:
            self.reserved_for = None
            self.expect_jobs()
