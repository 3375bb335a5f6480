"""Audit: who has done what to a queue and its jobs."""

from __future__ import annotations

from typing import Any

from aioq.client.given import id_of
from aioq.client.job import Job
from aioq.client.parts import part_of
from aioq.client.plain import awaited
from aioq.store import Store
from aioq.values.audit import MOST_ENTRIES, AuditEntry
from aioq.values.numbers import whole


@part_of("Queue")
class Audited:
    """The part of a queue that tells who has done what."""

    store: Store

    @awaited
    async def audit(self, limit: int | None = None, *, job: Job[Any] | str | None = None) -> list[AuditEntry]:
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
            >>> for entry in await queue.audit(limit=20):  # doctest: +SKIP
            ...     print(entry.at, entry.by, entry.action, entry.subjects)

        """
        most = MOST_ENTRIES if limit is None else whole(limit, "limit")

        return await self.store.audit.rows(most, "" if job is None else id_of(job, self.store))
