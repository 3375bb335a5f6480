"""LastingThread: a thread that the worker cannot do without. If it ends by an error, it is started again."""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable

log = logging.getLogger("aioq.worker")

#: A thread that has ended this often within so many seconds is not started again: the worker ends in order.
MOST_ENDS, ENDS_WITHIN_S = 5, 60.0


class LastingThread:
    """A thread of the worker, and what starts it again.

    Its body must return soon after `stopped` is set, and not before. A body that raises, or returns earlier, has
    ended by an error.

    Args:
        name: of the thread.
        body: what it does.
        give_up: called with the reason, on the thread that checks, when it cannot be kept alive.

    """

    def __init__(self, name: str, body: Callable[[], None], give_up: Callable[[str], None]) -> None:
        self.stopped = threading.Event()
        self._name = name
        self._body = body
        self._give_up = give_up
        self._ends: deque[float] = deque(maxlen=MOST_ENDS)
        self._cause: BaseException | None = None
        self._thread: threading.Thread | None = None

    @property
    def is_alive(self) -> bool:
        """Whether the thread runs now."""
        return self._thread is not None and self._thread.is_alive()

    def start(self) -> None:
        """Start it for the first time."""
        self._thread = self._begin()

    def stop(self, timeout: float | None = None) -> None:
        """Set `stopped`, and wait for the end; not for longer than these seconds."""
        self.stopped.set()

        if self._thread is not None:
            self._thread.join(timeout)

    def check(self) -> None:
        """Start it again, if it has ended by an error. Another thread calls this several times a second."""
        if self.stopped.is_set() or self._thread is None or self._thread.is_alive():
            return

        now, cause, self._cause = time.monotonic(), self._cause, None
        self._ends.append(now)

        try:
            if len(self._ends) < MOST_ENDS or now - self._ends[0] > ENDS_WITHIN_S:
                log.error("the thread %s has ended (%r); it is started again", self._name, cause, exc_info=cause)
                self._thread = self._begin()

                return

            reason = f"has ended {MOST_ENDS} times within {now - self._ends[0]:.0f} s, at last by {cause!r}"
        except RuntimeError as error:  # the system gives no more threads
            reason = f"has ended ({cause!r}) and cannot be started again ({error})"

        self.stopped.set()
        self._give_up(f"the thread {self._name} {reason}")

    def _begin(self) -> threading.Thread:
        thread = threading.Thread(target=self._live, name=self._name, daemon=True)
        thread.start()

        return thread

    def _live(self) -> None:
        try:
            self._body()
        except BaseException as error:  # noqa: BLE001 - whatever it was, `check` logs it and starts the thread again
            self._cause = error
