"""Holding: what holds the jobs of a whole queue back, for code without an event loop."""

from __future__ import annotations

from aioq.client.parts import part_of
from aioq.client.queue import Queue as AsyncQueue
from aioq.sync.calling import run
from aioq.values.durations import Duration
from aioq.values.retry_budget import RetryBudget


@part_of("Queue")
class Holding:
    """The part of a queue that holds its jobs back."""

    _queue: AsyncQueue

    def pause(self, duration: Duration | None = None, *, reason: str | None = None, by: str | None = None) -> None:
        """Let no worker claim from the queue until `resume` (or for a duration). Runs in progress go on.

        Args:
            duration: for how long (default None: until `resume`).
            reason: why, in one line of at most 500 characters; `aioq info` and `Job.explain` tell it.
            by: who does it, in at most 100 characters; they tell that, too (default None: who acts, if
                `acting_as` says that).

        Raises:
            InvalidInput: a value cannot be used; nothing is paused.

        Example:
            >>> queue.pause("30m", reason="the mail server moves", by="ann")  # doctest: +SKIP

        """
        run(self._queue.pause, duration, reason=reason, by=by)

    def resume(self) -> None:
        """End a pause."""
        run(self._queue.resume)

    def is_paused(self) -> bool:
        """Whether workers claim nothing from this queue, by `pause` or by `aioq suspend`."""
        return run(self._queue.is_paused)

    def set_retry_budget(self, limit: int | None, *, per: Duration = 1, at_once: int | None = None) -> None:
        """Hold retries back that come faster than this, for all workers of the queue and at once.

        It is stored with the queue. No retry fails for it: one that is too much begins its pause later. Retries
        that are held back already keep their moment. It concerns runs that raised, and runs that asked for another
        attempt; jobs that a worker gives back or loses, and requeued ones, are not held back.

        Args:
            limit: how many in the time `per`, at least 1. None: as many as come, as before.
            per: that time (default one second).
            at_once: how many at once, after a time with few (default None: as many as `limit`).

        Raises:
            InvalidInput: a value is out of its range.

        Example:
            >>> queue.set_retry_budget(100, per="1m", at_once=20)  # doctest: +SKIP

        """
        run(self._queue.set_retry_budget, limit, per=per, at_once=at_once)

    def retry_budget(self) -> RetryBudget | None:
        """How many retries the queue takes; None: as many as come."""
        return run(self._queue.retry_budget)
