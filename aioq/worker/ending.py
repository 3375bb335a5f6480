"""Ending: how a run is ended from outside. It is cancelled once, and then has its time to clean up.

What a run does in `finally` or in an `async with` must not be cut off, so nothing cancels it again before the
grace is over: not a second end for another reason, and not the shutdown. After the grace it is cancelled once
more, and shortly after that it is given up: it holds its slot no longer, and its code may still run.
"""

from __future__ import annotations

import asyncio
import logging
import math
import sys
import threading
import traceback
from collections.abc import Callable, Iterable

from aioq.worker.run import Cause, Run

log = logging.getLogger("aioq.worker")

#: The time that a run has to clean up, in seconds, unless the worker is told otherwise.
CANCEL_GRACE = 5.0

#: How long a run that is cancelled for the second time may take, in seconds; then it is given up.
LAST_S = 0.5


class Ending:
    """Ends runs that do not end by themselves.

    Args:
        grace: how long a run may clean up, in seconds.
        settle: called when a run is over that has not begun, or that is given up.

    """

    def __init__(self, grace: float, settle: Callable[[Run], None]) -> None:
        self._grace = grace
        self._settle = settle
        self._shutdown_at = -math.inf
        self._threads: list[Run] = []

    def end(self, run: Run, cause: Cause) -> None:
        """End a run. One that is being ended already keeps the time that it has."""
        if run.ended:
            return

        is_first = run.cause is None

        if is_first or cause is Cause.DROPPED:
            run.cause = cause

        run.deadline = math.inf

        if run.task is None:
            self._settle(run)
        elif not run.entered:  # a task that is cancelled before its first step never runs its body
            run.task.cancel()
            self._settle(run)
        elif is_first:
            self._cancel(run)
            loop = asyncio.get_running_loop()
            run.timer = loop.call_at(max(loop.time() + self._grace, self._shutdown_at), self._end_again, run)

    def begin_shutdown(self, timeout: float) -> None:
        """The worker shuts down. A run that is cancelled meanwhile may clean up until the timeout is over.

        Args:
            timeout: in seconds, from now.

        """
        self._shutdown_at = asyncio.get_running_loop().time() + timeout

    def interrupt(self, runs: Iterable[Run]) -> None:
        """The time of the shutdown is over, or a second signal has come: all runs have the grace that is left."""
        loop, self._shutdown_at = asyncio.get_running_loop(), -math.inf
        latest = loop.time() + self._grace

        for run in runs:
            if run.timer is not None and run.timer.when() > latest:
                run.timer.cancel()
                run.timer = loop.call_at(latest, self._end_again, run)

            self.end(run, Cause.INTERRUPTED)

    def time_left(self, runs: Iterable[Run]) -> float:
        """In how many seconds the last of these runs has ended, or is given up."""
        now = asyncio.get_running_loop().time()
        ends = [run.timer.when() - now + LAST_S for run in runs if run.timer is not None]

        return max([0.0, *ends])

    def tell_of_threads(self) -> None:
        """Name the threads that are still in the code of a job whose run has ended."""
        for run in filter(_is_in_thread, self._threads):
            log.warning(
                "the thread of job %s (%s) is still blocked, and ends with the process at the latest: %s",
                run.id,
                run.claim.record.func_name,
                _place(run),
            )

    def _cancel(self, run: Run) -> None:
        # What a thread does in `finally` has its time as well, so nobody stops to wait for it.
        if run.call is not None and run.call.end():
            self._threads = [each for each in self._threads if _is_in_thread(each) and each is not run]
            self._threads.append(run)
        elif run.task is not None:
            run.task.cancel()

    def _end_again(self, run: Run) -> None:
        log.warning(
            "job %s has not ended within its %g s for clean-up; it is cancelled again", run.id, self._grace
        )
        self._cancel(run)
        run.timer = asyncio.get_running_loop().call_later(LAST_S, self._give_up, run)

    def _give_up(self, run: Run) -> None:
        log.error("job %s ignores that it was cancelled; it is given up, but its code may still run", run.id)
        self._settle(run)

        if run.call is not None and run.task is not None:
            run.task.cancel()  # it waits for the thread


def _is_in_thread(run: Run) -> bool:
    return run.call is not None and run.call.thread is not None


def _place(run: Run) -> str:
    """Where the thread of a run stands: its name, and the innermost line of Python."""
    ident = -1 if run.call is None else run.call.thread
    name = next((each.name for each in threading.enumerate() if each.ident == ident), "a thread")
    frame = sys._current_frames().get(ident or -1)  # noqa: SLF001 - the only way to it

    if frame is None:
        return name

    at = traceback.extract_stack(frame, limit=1)[0]

    return f"{name}, {at.filename}:{at.lineno} in {at.name}"
