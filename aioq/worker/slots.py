"""Slots: who runs, who waits for a slot, who is late, who is ended. It knows no server and no user's function.

Every job is one asyncio task; one timer serves the timeouts of all. The structure that anyio gives (task groups,
cancel scopes) costs five times that for each job, so it carries the worker's loops and not its jobs
(docs/design.md has the figures).
"""

from __future__ import annotations

import asyncio
import math
import sys
import time
from collections import deque
from collections.abc import Awaitable, Callable
from contextvars import copy_context

from aioq.store import Store
from aioq.values.claim import Claim
from aioq.values.durations import FOREVER
from aioq.values.outcome import Finished, Interrupted, Outcome
from aioq.worker.ending import CANCEL_GRACE_S, Ending
from aioq.worker.failure import outcome_of_end, outcome_of_error
from aioq.worker.run import Cause, Run, StartClock
from aioq.worker.telling import Telling

#: A run that was claimed ahead and could not begin within this time, in seconds, is given back.
CLAIMED_AHEAD_WAIT_S = 0.1

#: Carries a run out, and brings its outcome; None: nothing is to be recorded.
Call = Callable[[Run, StartClock], Awaitable[Outcome | None]]

#: Called when a run is over, with its outcome; None: nothing is to be recorded.
Report = Callable[[Run, Outcome | None], None]


class Slots:
    """Runs jobs side by side; those that come while all slots are taken wait for a moment.

    Args:
        concurrency: how many runs there may be.
        call: carries a run out.
        report: hears of each run that is over.
        cancel_grace: how long a run may clean up that is ended from outside, in seconds.
        telling: hears of runs that end, for the log.

    """

    def __init__(
        self,
        concurrency: int,
        call: Call,
        report: Report,
        cancel_grace: float = CANCEL_GRACE_S,
        telling: Telling | None = None,
    ) -> None:
        self.ending = Ending(cancel_grace, self._remove_ended)
        self.concurrency = concurrency
        self.held: dict[Run, None] = {}
        self.running = 0
        self.ended = 0
        self.failed = 0
        self._call = call
        self._report = report
        self._telling = telling or Telling()
        self._waiting: deque[Run] = deque()
        self._wait_timer: asyncio.TimerHandle | None = None
        self._is_filling = False
        self._alarm: asyncio.TimerHandle | None = None
        self._alarm_at = math.inf
        self._context = copy_context()

    @property
    def successful(self) -> int:
        """How many runs have finished."""
        return self._telling.finished

    def take(self, store: Store, claim: Claim) -> Run:
        """Begin a run, or let it wait for a slot. Returns at once."""
        run = Run(store, claim)
        self.held[run] = None

        if self.running < self.concurrency:
            self._begin(run)
        else:
            run.taken_at = time.monotonic()
            self._waiting.append(run)

            if self._wait_timer is None:
                self._wait_timer = asyncio.get_running_loop().call_later(CLAIMED_AHEAD_WAIT_S, self._check_wait)

        return run

    def end(self, run: Run, cause: Cause) -> None:
        """End a run from outside: cancel its coroutine, or raise in its thread."""
        self.ending.end(run, cause)

    def give_back(self) -> None:
        """End the runs that wait for a slot or for a process, so that their jobs go back."""
        while self._waiting:
            self.end(self._waiting.popleft(), Cause.INTERRUPTED)

        for run in [run for run in self.held if run.waits_for_process]:
            self.end(run, Cause.INTERRUPTED)

    def interrupt(self) -> None:
        """End all runs, so that their jobs go back."""
        self.ending.interrupt(list(self.held))

    async def cleaned_up(self) -> None:
        """Wait until every run that was ended has cleaned up. A run is given up when its time is over."""
        cleaning = [run.task for run in self.held if run.task is not None and run.cause is not None]

        if cleaning:
            await asyncio.wait(cleaning, timeout=self.ending.time_left(self.held))

    def close(self) -> None:
        """No run will come any more: stop the alarm, and name the threads that are left."""
        if self._alarm is not None:
            self._alarm.cancel()

        self.ending.tell_of_threads()

    def _begin(self, run: Run, *, at_once: bool = False) -> None:
        """Give a run its task. at_once: it makes its first step here, where Python has that (3.12).

        When a hundred runs end together, the loop would come to those that take their places only after it has
        seen to the end of the last one.
        """
        self.running += 1
        loop, coroutine = asyncio.get_running_loop(), self._run(run)
        # A copy of its own: a run must not see what the job that had the slot before has set in its context.
        context = self._context.copy()

        try:  # as own_task does; this is the path of every job
            if sys.version_info >= (3, 12) and at_once:
                run.task = asyncio.Task(coroutine, loop=loop, context=context, eager_start=True)
            else:
                run.task = asyncio.Task(coroutine, loop=loop, context=context)
        except BaseException:  # a run without a task must not be held; the courier finds that it is claimed
            self.running -= 1
            del self.held[run]
            coroutine.close()

            raise

    async def _run(self, run: Run) -> None:
        run.entered, run.task = True, asyncio.current_task()

        try:
            outcome = await self._call(run, self._start_clock)
        except BaseException as error:  # noqa: BLE001 - see below
            # A GeneratorExit that a thread or a future brings closes the call, and Python drops its outcome.
            outcome = outcome_of_error(run, error)

        self._remove(run, outcome)

    def _remove(self, run: Run, outcome: Outcome | None) -> None:
        """A run is over: count and report it, and let others begin in its place."""
        if run.is_over:  # it was given up before
            run.error = None

            return

        run.is_over, run.ended_at = True, time.monotonic()
        del self.held[run]

        if run.grace_timer is not None:
            run.grace_timer.cancel()

        if run.task is not None:
            self.running -= 1
            self.ended += 1

        if isinstance(outcome, Finished):
            if not run.is_callback:  # callbacks are not counted as work of their own
                self._telling.finished += 1
        elif isinstance(outcome, Interrupted):
            self._telling.went_back(run)
        elif outcome is not None:
            self.failed += 1

        self._report(run, outcome)

        if run.error is not None or self._telling.jobs:
            self._telling.ended(run, outcome)

        if self._waiting:
            self._fill()

    def _remove_ended(self, run: Run) -> None:
        self._remove(run, outcome_of_end(run))

    def _fill(self) -> None:
        """Begin runs that wait for a slot. One that ends in its first step frees a slot for this same loop."""
        if self._is_filling:
            return

        self._is_filling = True

        try:
            while self._waiting and self.running < self.concurrency:
                if not (run := self._waiting.popleft()).is_over:
                    self._begin(run, at_once=True)
        finally:
            self._is_filling = False

    def _check_wait(self) -> None:
        """Give runs back that have waited too long: their jobs turned out slower than the pace of the claims.

        Other workers may have room for them.
        """
        self._wait_timer = None

        if self._waiting:
            left = self._waiting[0].taken_at + CLAIMED_AHEAD_WAIT_S - time.monotonic()

            if left <= 0:
                self.give_back()
            else:
                self._wait_timer = asyncio.get_running_loop().call_later(left, self._check_wait)

    def _start_clock(self, run: Run) -> None:
        """The time of a run begins now."""
        loop = asyncio.get_running_loop()
        run.started_at = now = loop.time()

        if (timeout_ms := run.claim.record.timeout_ms) != FOREVER:
            run.deadline = now + timeout_ms / 1000

            if run.deadline < self._alarm_at:
                self._set_alarm(loop, run.deadline)

    def _set_alarm(self, loop: asyncio.AbstractEventLoop, at: float) -> None:
        """One timer for the timeouts of all runs: nearly all end long before, and would cancel their own."""
        if self._alarm is not None:
            self._alarm.cancel()

        self._alarm, self._alarm_at = loop.call_at(at, self._end_late), at

    def _end_late(self) -> None:
        """End the runs whose time is over, and set the alarm for the next one whose time may be over."""
        loop = asyncio.get_running_loop()
        # The loop may ring a moment early, by the resolution of its clock.
        now = max(loop.time(), self._alarm_at)
        self._alarm, self._alarm_at = None, math.inf

        for run in [run for run in self.held if run.deadline <= now]:
            self.end(run, Cause.TIMEOUT)

        if (following := min((run.deadline for run in self.held), default=math.inf)) < self._alarm_at:
            self._set_alarm(loop, following)
