"""Place: one of the places of a pool. A process serves there until its successor does, or until it has died."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

from aioq.pool.process import PoolProcess

log = logging.getLogger("aioq.pool")

#: A process that has ended is started again at once. If it served for less than so many seconds, that was a
#: failure. After the second failure in a row the next start waits for half a second, then twice as long each time.
#: A process that has never served counts as two failures at first.
STABLE_S = 10.0
SHORTEST_PAUSE_S = 0.5
LONGEST_PAUSE_S = 30.0


class Place:
    """A place for one process. `step` looks at what has changed and does what follows from it.

    Args:
        number: from 1 on.
        start: starts a process for this place, with the number of jobs that it may claim.
        max_jobs: how many jobs a process may claim; None: any number.
        jobs_of_first: the same for the first process.
        ends: whether a process that has ended in order has done the work of this place.

    """

    def __init__(
        self,
        number: int,
        start: Callable[[int, int | None], PoolProcess | None],
        max_jobs: int | None,
        jobs_of_first: int | None,
        *,
        ends: bool,
    ) -> None:
        self.number = number
        self.process: PoolProcess | None = None
        #: Why the process is to be replaced; empty if it is not.
        self.wish = ""
        #: Whether the last successor has ended before it served.
        self.has_failed_to_replace = False
        #: Whether the work of this place is done.
        self.is_finished = False
        #: How many jobs were claimed here by processes that have ended in order.
        self.claimed = 0
        #: When the next process may start, by the clock `time.monotonic`.
        self.may_start_at = 0.0
        self._start = start
        self._max_jobs = max_jobs
        self._jobs_of_next = jobs_of_first
        self._ends = ends
        self._successor: PoolProcess | None = None
        self._leaving: PoolProcess | None = None
        self._failures = 0

    @property
    def processes(self) -> list[PoolProcess]:
        """All processes of this place: the one that serves, its successor, its predecessor that ends."""
        return [each for each in (self.process, self._successor, self._leaving) if each is not None]

    @property
    def is_changing(self) -> bool:
        """Whether its process is being replaced, or is to be."""
        return bool(self.wish) or self._successor is not None or self._leaving is not None

    @property
    def waits_until(self) -> float | None:
        """When something is due here by the clock alone; None: nothing is."""
        waits = not self.is_finished and (self.process is None or (self.wish and self._successor is None))

        return self.may_start_at if waits and self.may_start_at > time.monotonic() else None

    def replace(self, why: str) -> None:
        """Let another process take the place of this one, as soon as it serves."""
        self.wish = self.wish or why
        self.has_failed_to_replace = False

    def step(self, *, may_start: bool) -> None:
        """Do what follows from what has changed.

        Args:
            may_start: whether processes may start; not so while the pool stops.

        """
        self._note_ends()
        self._hand_over()

        if self.process is not None and self.process.is_full:
            self.wish = self.wish or "it has claimed as many jobs as it may"

        if may_start and not self.is_finished and time.monotonic() >= self.may_start_at:
            self._begin()

    def _note_ends(self) -> None:
        if self._leaving is not None and self._leaving.has_ended:
            self._count(self._leaving)
            self._leaving = None

        if self._successor is not None and self._successor.has_ended:
            failed, self._successor = self._successor, None
            self._pause()

            if self.process is not None and not self.process.has_ended:
                log.error("process %d could not be replaced: the new one %s", self.number, failed.end)
                self.wish, self.has_failed_to_replace = "", True

        if self.process is not None and self.process.has_ended:
            ended, self.process = self.process, self._successor
            self._successor, self.wish = None, ""
            self._count(ended)
            self._judge(ended)

    def _hand_over(self) -> None:
        """Let a successor that serves take the place, and its predecessor end."""
        if self._successor is None or not self._successor.serves:
            return

        self.wish = ""
        old, self.process, self._successor = self.process, self._successor, None

        if old is not None:
            self._leaving = old

            if not old.is_full:  # one that is full ends by itself, when its last job has ended
                old.stop(1)

    def _begin(self) -> None:
        """Start what is missing."""
        if self.process is None:
            self.process = self._started()
        elif self.wish and self._successor is None and self._leaving is None:
            log.info("process %d is replaced: %s", self.number, self.wish)
            self._successor = self._started()

    def _started(self) -> PoolProcess | None:
        process = self._start(self.number, self._jobs_of_next)
        self._jobs_of_next = self._max_jobs

        if process is None:
            self._pause()

        return process

    def _count(self, ended: PoolProcess) -> None:
        self.claimed += ended.claimed or 0

    def _judge(self, ended: PoolProcess) -> None:
        """Decide what follows from the end of the process of this place."""
        if ended.ended_well:
            self._failures = 0
            is_used_up = ended.max_jobs is not None and (ended.claimed or 0) >= ended.max_jobs
            self.is_finished = self._ends and not is_used_up and self.process is None
        elif ended.serves_since is not None and time.monotonic() - ended.serves_since >= STABLE_S:
            self._failures = 0
        else:
            self._pause(has_served=ended.serves_since is not None)

    def _pause(self, *, has_served: bool = False) -> None:
        """Let the next start wait, if several have failed in a row."""
        self._failures += 1 if has_served or self._failures else 2
        pause = min(LONGEST_PAUSE_S, SHORTEST_PAUSE_S * 2 ** (self._failures - 2)) if self._failures > 1 else 0.0
        self.may_start_at = time.monotonic() + pause
