"""Guard: a thread that notices when the event loop does not turn, and names the job that blocks it.

The leases do not depend on it: the heartbeat has a thread of its own. It is there for whoever looks into the log.
"""

from __future__ import annotations

import asyncio
import logging
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterable, Iterator
from types import FrameType

from aioq.worker.run import Run

log = logging.getLogger("aioq.worker")

#: How often the loop shows that it turns and the guard looks, and how long the loop may fail to before it counts
#: as blocked, in seconds. Both together are less than a second: so soon a block is told.
TICK = 0.25
LIMIT = 0.6


class Guard:
    """Watches the event loop that it is made on.

    Args:
        runs: the runs of the worker; asked for on the guard's thread.

    """

    def __init__(self, runs: Callable[[], Iterable[Run]]) -> None:
        self.blocks = 0
        self._runs = runs
        self._loop = asyncio.get_running_loop()
        self._ident = threading.get_ident()
        self._turned = time.monotonic()
        self._timer: asyncio.TimerHandle | None = None
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="aioq-guard", daemon=True)

    def start(self) -> None:
        self._tick()
        self._thread.start()

    def stop(self) -> None:
        """End the thread."""
        self._stopped.set()

        if self._thread.is_alive():
            self._thread.join()

        if self._timer is not None:
            self._timer.cancel()

    def _tick(self) -> None:
        self._turned = time.monotonic()
        self._timer = self._loop.call_later(TICK, self._tick)

    def _watch(self) -> None:
        looked, blocked_since, who = time.monotonic(), 0.0, ""

        while not self._stopped.wait(TICK):
            now, turned = time.monotonic(), self._turned

            if blocked_since and turned != blocked_since:
                log.warning("the event loop turns again: %s blocked it for %.1f s", who, turned - blocked_since)
                blocked_since = 0.0

            if (
                now - looked > LIMIT + TICK
            ):  # this thread did not run either: the loop is not to blame for that time
                self._tell_of_standstill(now - looked)
            elif not blocked_since and now - turned > LIMIT:
                self.blocks += 1
                blocked_since, (who, stack) = turned, self._look()
                log.warning("%s has blocked the event loop for %.1f s, at:\n%s", who, now - turned, stack)

            looked = now

    def _tell_of_standstill(self, seconds: float) -> None:
        self.blocks += 1
        begun = ", ".join(_named(run) for run in list(self._runs()) if run.begun)
        log.warning(
            "the whole process stood still for %.1f s: it was stopped, the machine had no time for it, or C code"
            " of a job held the interpreter's lock. Jobs that were running: %s",
            seconds,
            begun or "none",
        )

    def _look(self) -> tuple[str, str]:
        """Who blocks the loop, and the stack from its own code on."""
        task = asyncio.current_task(self._loop)
        frames = list(_outermost_first(sys._current_frames().get(self._ident)))  # noqa: SLF001 - the only way to it
        who, first = "no task", None

        if task is not None:
            # A task that a job has started is none of the runs: its name and the stack must do.
            runs = {run.task: _named(run) for run in list(self._runs())}
            who, first = runs.get(task, f"the task {task.get_name()}"), getattr(task.get_coro(), "cr_frame", None)

        if first in frames:
            frames = frames[frames.index(first) :]

        own = [each for each in frames if not each.f_globals.get("__name__", "").startswith("aioq.worker")]
        stack = traceback.StackSummary.extract((each, each.f_lineno) for each in own)

        return who, "".join(stack.format())


def _named(run: Run) -> str:
    return f"job {run.id} ({run.claim.record.func_name})"


def _outermost_first(frame: FrameType | None) -> Iterator[FrameType]:
    stack = []

    while frame is not None:
        stack.append(frame)
        frame = frame.f_back

    return reversed(stack)
