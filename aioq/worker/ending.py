"""Ending: how a run is ended from outside. It is cancelled once, and then has its time to clean up.

The code of a run in `finally` or in an `async with` must not be cut off, so nothing cancels it again before the
grace is over: neither another reason to end it nor the shutdown. After the grace it is cancelled once more, and
shortly after that it is given up: it holds its slot no longer, and its code may still run.
"""

from __future__ import annotations

import asyncio
import logging
import math
import sys
import threading
import traceback
from collections.abc import Callable, Iterable
from types import FrameType

from aioq.worker.run import Cause, Run, attributes
from aioq.worker.threads import RunEnded, RunTimedOut
from aioq.worker.tracebacks import is_of_worker, user_frames

log = logging.getLogger("aioq.worker")

#: The time that a run has to clean up, in seconds, unless the worker is told otherwise.
CANCEL_GRACE_S = 5.0

#: How long a run may go on after its second cancel, in seconds; then it is given up.
SECOND_CANCEL_S = 0.5

#: What becomes of the job of a run that is given up.
_WHAT_FOLLOWS = {
    Cause.INTERRUPTED: "The job goes back to its queue, and begins anew on another worker",
    Cause.TIMEOUT: "The job counts as timed out",
}


class Ending:
    """Ends runs that do not end by themselves.

    Args:
        grace: how long a run may clean up, in seconds.
        remove: called with a run that ends without its task: it has none yet, or it is given up.

    """

    def __init__(self, grace: float, remove: Callable[[Run], None]) -> None:
        self._grace = grace
        self._remove = remove
        self._shutdown_at = -math.inf
        self._threads: list[Run] = []

    def end(self, run: Run, cause: Cause) -> None:
        """End a run. A run that is being ended already keeps the time that it has."""
        if run.is_over:
            return

        is_first = run.cause is None

        if is_first or cause.is_drop:
            run.cause = cause

        run.deadline = math.inf

        if run.task is None:
            self._remove(run)
        elif not run.entered:  # a task that is cancelled before its first step never runs its body
            run.task.cancel()
            self._remove(run)
        elif is_first:
            self._cancel(run, RunTimedOut if cause is Cause.TIMEOUT else RunEnded)
            loop = asyncio.get_running_loop()
            run.grace_timer = loop.call_at(max(loop.time() + self._grace, self._shutdown_at), self._end_again, run)

    def begin_shutdown(self, timeout: float) -> None:
        """The worker shuts down. A run that is cancelled from now on may clean up until the timeout is over.

        Args:
            timeout: in seconds, from now.

        """
        self._shutdown_at = asyncio.get_running_loop().time() + timeout

    def interrupt(self, runs: Iterable[Run]) -> None:
        """The time of the shutdown is over, or a second signal has come: each run has the rest of its grace."""
        loop, self._shutdown_at = asyncio.get_running_loop(), -math.inf
        latest = loop.time() + self._grace

        for run in runs:
            if run.grace_timer is not None and run.grace_timer.when() > latest:
                run.grace_timer.cancel()
                run.grace_timer = loop.call_at(latest, self._end_again, run)

            self.end(run, Cause.INTERRUPTED)

    def time_left(self, runs: Iterable[Run]) -> float:
        """In how many seconds the last of these runs has ended, or is given up."""
        now = asyncio.get_running_loop().time()
        ends = [run.grace_timer.when() - now + SECOND_CANCEL_S for run in runs if run.grace_timer is not None]

        return max([0.0, *ends])

    def tell_of_threads(self) -> None:
        """Name the threads that are still in the code of a job whose run has ended before this shutdown."""
        for run in filter(_is_in_thread, self._threads):
            if run.cause is not Cause.INTERRUPTED:  # the log has it from when it was given up
                log.warning(
                    "%s was given up; its thread (%s) is still blocked%s, and ends with the process at the latest",
                    run.named,
                    _thread(run),
                    _place(run),
                    extra=attributes(run),
                )

    def _cancel(self, run: Run, kind: type[RunEnded] = RunEnded) -> None:
        # The task of a run on a thread is not cancelled: it waits while the thread cleans up.
        if run.thread_call is not None and run.thread_call.end(kind):
            self._threads = [each for each in self._threads if _is_in_thread(each) and each is not run]
            self._threads.append(run)
        elif run.task is not None:
            run.task.cancel()

    def _end_again(self, run: Run) -> None:
        log.warning(
            "%s %s and has not ended within its %g s for clean-up%s; it is cancelled again",
            run.named,
            _cause(run).value,
            self._grace,
            _place(run),
            extra=attributes(run),
        )
        self._cancel(run)
        run.grace_timer = asyncio.get_running_loop().call_later(SECOND_CANCEL_S, self._give_up, run)

    def _give_up(self, run: Run) -> None:
        log.error(
            "%s is given up after %.1f s: %s. %s",
            run.named,
            asyncio.get_running_loop().time() - run.started_at,
            _what_goes_on(run),
            _WHAT_FOLLOWS.get(_cause(run), f"Nothing of it is recorded: it {_cause(run).value}"),
            extra=attributes(run),
        )
        self._remove(run)

        if run.thread_call is not None and run.task is not None:
            run.task.cancel()  # it waits for the thread


def _is_in_thread(run: Run) -> bool:
    return run.thread_call is not None and run.thread_call.thread is not None


def _cause(run: Run) -> Cause:
    return run.cause or Cause.INTERRUPTED


def _what_goes_on(run: Run) -> str:
    """Why a run has not ended."""
    if _is_in_thread(run):
        return (
            f"its thread ({_thread(run)}) is still blocked{_place(run)}. Python cannot interrupt a call that"
            " waits, such as time.sleep: the code goes on when that returns, unless the process has ended"
        )

    return f"it ignores that it was cancelled{_place(run)}, and its code may still run"


def _thread(run: Run) -> str:
    """The name of the thread that a run is on."""
    ident = -1 if run.thread_call is None else run.thread_call.thread
    names = [each.name for each in threading.enumerate() if each.ident == ident]

    return names[0] if names else "it has no name"


def _place(run: Run) -> str:
    """The line of the user's code at which a run stands, behind a comma."""
    frames = _frames(run)
    own = [at for at, frame in enumerate(frames) if is_of_worker(frame)]
    shown = user_frames(frames[own[-1] + 1 if own else 0 :])

    return f", at {shown[0].f_code.co_filename}, line {shown[0].f_lineno}" if shown else ""


def _frames(run: Run) -> list[FrameType]:
    """The stack of a run, the outermost frame first."""
    if run.thread_call is not None:
        frame = sys._current_frames().get(run.thread_call.thread or -1)  # noqa: SLF001 - the only way to it

        return [each for each, _ in traceback.walk_stack(frame)][::-1] if frame is not None else []

    frames: list[FrameType] = []
    waiting: object = None if run.task is None else run.task.get_coro()

    while (frame := getattr(waiting, "cr_frame", None)) is not None:
        frames.append(frame)
        waiting = getattr(waiting, "cr_await", None)

    return frames
