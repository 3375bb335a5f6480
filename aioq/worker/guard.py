"""Guard: a thread that notices when the event loop does not turn, and names the job that blocks it.

It also starts the heartbeat's threads again if one has ended, while a job blocks the event loop, too. The event
loop does the same for the guard.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
import os
import sys
import threading
import time
import traceback
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from types import FrameType

from aioq.worker.lasting import LastingThread
from aioq.worker.memory import resident
from aioq.worker.run import Run
from aioq.worker.tracebacks import user_frames

log = logging.getLogger("aioq.worker")

#: How often the loop shows that it turns and the guard looks, and how long the loop may fail to before it counts
#: as blocked, in seconds. Both together are less than a second: so soon a block is told.
TICK_S = 0.25
BLOCKED_AFTER_S = 0.6

#: For how long the longest lag of the loop is remembered, in seconds; and of how many looks one reads the memory.
LAG_S, LOOKS_PER_MEMORY = 10.0, 20


class Guard:
    """Watches the event loop that it is made on, and the threads that the worker cannot do without.

    Args:
        runs: the runs of the worker; asked for on the guard's thread.
        turned: called on the event loop several times a second.
        give_up: called when a thread cannot be kept alive; see LastingThread.

    """

    def __init__(
        self,
        runs: Callable[[], Iterable[Run]],
        turned: Callable[[], None] = lambda: None,
        give_up: Callable[[str], None] = log.error,
    ) -> None:
        self.blocks = 0
        #: How much memory the process holds, in bytes; 0 if the system does not tell.
        self.memory = 0
        self.watched: Sequence[LastingThread] = ()
        self.thread = LastingThread("aioq-guard", self._watch, give_up)
        self._runs = runs
        self._on_turn = turned
        self._loop = asyncio.get_running_loop()
        self._ident = threading.get_ident()
        self._turned = time.monotonic()
        self._lags: deque[float] = deque(maxlen=round(LAG_S / TICK_S))
        self._pid = os.getpid()
        self._timer: asyncio.TimerHandle | None = None
        # When this thread last ran, and for how many seconds the process has stood still: read together by others.
        self._looked = (time.monotonic(), 0.0)
        self._blocked_since, self._who = 0.0, ""
        self._is_in_trouble = False

    def start(self) -> None:
        self._note_look()
        self._tick()
        self.thread.start()

    def stop(self) -> None:
        """End the thread. Called on the event loop, so this turns again."""
        self.thread.stop()
        self._tell_of_turn(time.monotonic())

        if self._timer is not None:
            self._timer.cancel()

    def awake(self) -> float:
        """The seconds for which this process has run: a monotonic clock that leaves out when it stood still."""
        (looked, still), now = self._looked, time.monotonic()

        return now - still - _standstill(now - looked)

    @property
    def lag(self) -> float:
        """The longest time in seconds by which the loop was late of late: a callback that was due had to wait."""
        return max(self._lags, default=0.0)

    def _tick(self) -> None:
        now = time.monotonic()
        self._lags.append(max(0.0, now - self._turned - TICK_S) if self._timer is not None else 0.0)
        self._turned = now
        self._timer = self._loop.call_later(TICK_S, self._tick)
        self.thread.check()
        self._on_turn()

    def _watch(self) -> None:
        for look in itertools.count():
            if self.thread.stopped.wait(TICK_S):
                return

            try:
                if look % LOOKS_PER_MEMORY == 0:
                    self.memory = resident(self._pid) or 0

                for thread in self.watched:
                    thread.check()

                self._look_at_loop()
            except Exception:
                # Whatever it was, the next look comes; without them nobody would start a heartbeat again.
                if not self._is_in_trouble:
                    log.exception("the guard of the event loop failed; it goes on")

                self._is_in_trouble = True

    def _look_at_loop(self) -> None:
        turned, since = self._turned, self._note_look()
        now = self._looked[0]

        self._tell_of_turn(turned)

        if _standstill(since):  # this thread did not run either: the loop is not to blame for that time
            self._tell_of_standstill(since)
        elif not self._blocked_since and now - turned > BLOCKED_AFTER_S:
            self.blocks += 1
            self._blocked_since, (self._who, stack) = turned, self._find_blocker()
            log.warning(
                "%s has blocked the event loop for %.1f s so far, at:\n%s", self._who, now - turned, stack.rstrip()
            )

    def _tell_of_turn(self, turned: float) -> None:
        """Tell once for how long the loop was blocked in all, if it was and has turned since."""
        since, self._blocked_since = self._blocked_since, 0.0

        if since and turned == since:
            self._blocked_since = since
        elif since:
            log.warning("the event loop turns again: %s blocked it for %.1f s in all", self._who, turned - since)

    def _note_look(self) -> float:
        """Remember that the guard's thread runs now. The seconds since it last did."""
        (looked, still), now = self._looked, time.monotonic()
        self._looked = (now, still + _standstill(now - looked))

        return now - looked

    def _tell_of_standstill(self, seconds: float) -> None:
        self.blocks += 1
        begun = ", ".join(run.named for run in list(self._runs()) if run.begun)
        log.warning(
            "the whole process stood still for %.1f s: it was stopped, the machine had no time for it, or C code"
            " of a job held the interpreter's lock. Jobs that were running: %s",
            seconds,
            begun or "none",
        )

    def _find_blocker(self) -> tuple[str, str]:
        """Who blocks the loop, and the stack from its own code on."""
        task = asyncio.current_task(self._loop)
        frames = list(_outermost_first(sys._current_frames().get(self._ident)))  # noqa: SLF001 - the only way to it
        who, first = "no task", None

        if task is not None:
            # A task that a job has started is none of the runs: its name and the stack must do.
            runs = {run.task: run.named for run in list(self._runs())}
            who, first = runs.get(task, f"the task {task.get_name()}"), getattr(task.get_coro(), "cr_frame", None)

        if first in frames:
            frames = frames[frames.index(first) :]

        stack = traceback.StackSummary.extract((each, each.f_lineno) for each in user_frames(frames))

        return who, "".join(stack.format())


def _standstill(seconds: float) -> float:
    """For how long the process stood still, if its guard did not run for so many seconds; less is usual."""
    return seconds - TICK_S if seconds > BLOCKED_AFTER_S + TICK_S else 0.0


def _outermost_first(frame: FrameType | None) -> Iterator[FrameType]:
    stack = []

    while frame is not None:
        stack.append(frame)
        frame = frame.f_back

    return reversed(stack)
