"""Guard: a thread that notices when the event loop does not turn, and names the job that blocks it."""

from __future__ import annotations

import asyncio
import logging
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterable
from types import FrameType

from aioq.worker.run import Run

log = logging.getLogger("aioq.worker")

#: How often the loop shows that it turns, and how long it may fail to before it counts as blocked, in seconds.
TICK = 0.25
LIMIT = 0.6


class Guard:
    """Watches the loop that it is started on.

    Args:
        runs: the runs of the worker; asked for on the guard's thread.

    """

    def __init__(self, runs: Callable[[], Iterable[Run]]) -> None:
        self.blocked = 0
        self._runs = runs
        self._loop = asyncio.get_running_loop()
        self._ident = threading.get_ident()
        self._turned = time.monotonic()
        self._timer: asyncio.TimerHandle | None = None
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="aioq-guard", daemon=True)

    def start(self) -> None:
        self._tick()
        self._thread.start()

    def stop(self) -> None:
        self._stopped.set()
        self._thread.join()

        if self._timer is not None:
            self._timer.cancel()

    def _tick(self) -> None:
        self._turned = time.monotonic()
        self._timer = self._loop.call_later(TICK, self._tick)

    def _run(self) -> None:
        told: float | None = None  # the turn after which the blockage began that was logged
        who = ""

        while not self._stopped.wait(TICK):
            turned = self._turned

            if told is not None and turned != told:
                log.warning("the event loop turns again: %s blocked it for %.1f s", who, turned - told)
                told = None

            if told is None and (seconds := time.monotonic() - turned) > LIMIT:
                told, self.blocked = turned, self.blocked + 1
                who, stack = self._look()
                log.warning("%s has blocked the event loop for %.1f s, at:\n%s", who, seconds, stack)

    def _look(self) -> tuple[str, str]:
        """The job whose coroutine is on the loop's stack, and the frames that are its own."""
        frames: list[FrameType] = []
        frame = sys._current_frames().get(self._ident)  # noqa: SLF001 - the one way to see another thread's stack

        while frame is not None:
            frames.insert(0, frame)
            frame = frame.f_back

        who = "no job of this worker"

        for run in list(self._runs()):
            own = None if run.task is None else getattr(run.task.get_coro(), "cr_frame", None)

            if own is not None and own in frames:
                who = f"job {run.id} ({run.claim.record.func_name})"
                frames = frames[frames.index(own) :]

                break

        users = [each for each in frames if not each.f_globals.get("__name__", "").startswith("aioq.worker")]
        summary = traceback.StackSummary.extract((each, each.f_lineno) for each in users)

        return who, "".join(summary.format())
