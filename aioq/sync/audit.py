"""Audit: who has done what to a queue and its jobs, for code without an event loop."""

from __future__ import annotations

from typing import Any

from aioq.client.parts import part_of
from aioq.client.queue import Queue as AsyncQueue
from aioq.sync.calling import run
from aioq.sync.job import Job, bare
from aioq.values.audit import AuditEntry


@part_of("Queue")
class Audited:
    """The part of a queue that tells who has done what."""

    _queue: AsyncQueue

    def audit(self, limit: int | None = None, *, job: Job[Any] | str | None = None) -> list[AuditEntry]:
        """What was done to the queue and to its jobs, and by whom, the last first.

        The command line and the dashboard leave a row for each change, and so does a program that has said who
        acts: see `aioq.acting_as`. The last 10,000 are kept, each for ninety days.

        Args:
            limit: the most rows (default None: all).
            job: only rows that name this job, which is given by a handle or by its id (default None: all). A row
                of many jobs names the first 20.

        Raises:
            InvalidInput: limit is no whole number, or out of range; job is neither a handle nor an id.
            InvalidJobOperation: it is a job of another queue.

        Example:
            >>> for entry in queue.audit(limit=20):  # doctest: +SKIP
            ...     print(entry.at, entry.by, entry.action, entry.subjects)

        """
        return run(self._queue.audit, limit, job=None if job is None else bare(job))
