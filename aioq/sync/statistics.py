"""Statistics: what a queue has done, and which workers have left it, for code without an event loop."""

from __future__ import annotations

from aioq.client.parts import part_of
from aioq.client.queue import Queue as AsyncQueue
from aioq.sync.calling import run
from aioq.values.departed import DepartedWorker
from aioq.values.statistics import QueueStatistics, Since, Step


@part_of("Queue")
class Statistics:
    """The part of a queue that tells what it has done."""

    _queue: AsyncQueue

    def statistics(
        self, since: Since | None = None, until: Since | None = None, *, step: Step = "minute"
    ) -> QueueStatistics:
        """What the queue did in each minute or hour, and what waits in it now.

        Workers count, and tell with their heartbeats: what a worker has counted in the last ten seconds may come
        later, and is lost if it dies. Minutes are kept for a day, hours for thirty days.

        Args:
            since: the first moment, or how long ago it was (default None: an hour ago, of hours a day ago).
            until: the last moment, or how long ago it was (default None: now).
            step: "minute" (default) or "hour": how long each period is.

        Raises:
            InvalidInput: a value is out of its range, or it ends before it begins.

        Example:
            >>> statistics = queue.statistics(since="1h")  # doctest: +SKIP
            >>> statistics.total.failed, statistics.backlog.waiting, statistics.empty_in  # doctest: +SKIP
            (3, 1200, 95.0)

        """
        return run(self._queue.statistics, since, until, step=step)

    def departed_workers(self, limit: int | None = None) -> list[DepartedWorker]:
        """The workers that have left the queue, the last one first: when, why, and what they held.

        The last 1,000 are remembered, each for thirty days.

        Args:
            limit: the most workers (default None: all).

        Raises:
            InvalidInput: limit is no whole number, or out of range.

        """
        return run(self._queue.departed_workers, limit)
