"""Searching: the jobs of a queue that a filter is for, for code without an event loop."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from aioq.client.parts import part_of
from aioq.client.queue import Queue as AsyncQueue
from aioq.store import Store
from aioq.sync.calling import run
from aioq.sync.job import Job
from aioq.values.durations import Duration
from aioq.values.failure_group import FailureGroup
from aioq.values.filter import Filter


@dataclass(frozen=True, slots=True)
class SearchPage:
    """What a search has found so far, as aioq.types.SearchPage says; its jobs have plain calls."""

    jobs: list[Job[Any]]
    cursor: str | None
    scanned: int
    matched: int
    total: int


@part_of("Queue")
class Searches:
    """The part of a queue that finds jobs, and what they have failed of."""

    _queue: AsyncQueue
    store: Store

    def search(
        self,
        filter: Filter | str = "",  # noqa: A002 - what it is
        *,
        limit: int | None = None,
        cursor: str | None = None,
        scan: int = 10_000,
        **conditions: Any,
    ) -> SearchPage:
        """Find jobs, in every state, the newest of each state first. It never unpickles anything.

        Ids, states, times, fingerprints and tags narrow a search before it looks at any job. For all other
        conditions it looks at one job after the other, in steps of less than a millisecond of the server's time. A
        job that changes its state meanwhile may be missed, or found twice.

        Args:
            filter: a Filter, or its text, such as `state:failed fn:shop.mail.* error:"time out"` (see
                `Filter.parse`).
            limit: the most jobs of this page (default None: 100).
            cursor: that of the page before; None: from the beginning.
            scan: about how many jobs this call may look at (default 10,000). Then it brings what it has found,
                and the cursor with which to go on.
            conditions: instead of a filter its parts: ids, states, functions, tags, errors, workers, meta,
                fingerprint, after, before, texts.

        Raises:
            InvalidInput: the filter, the limit or the cursor cannot be used.

        Example:
            >>> page = queue.search('state:failed error:"time out"', limit=20)
            >>> page.matched, page.cursor
            (0, None)

        """
        page = run(self._queue.search, filter, limit=limit, cursor=cursor, scan=scan, **conditions)
        jobs = [Job(job, self) for job in page.jobs]

        return SearchPage(jobs, page.cursor, page.scanned, page.matched, page.total)

    def requeue_matching(
        self,
        filter: Filter | str,  # noqa: A002 - what it is
        *,
        at_front: bool = False,
        reset_retries: bool = True,
        progress: Callable[[int], None] | None = None,
    ) -> int:
        """Bring back all jobs that a filter is for, in chunks of a hundred. If it is interrupted, call it again.

        Args:
            filter: as for `search`. A filter without any condition is refused.
            at_front: put them at the front (default False).
            reset_retries: count their attempts and deliveries anew (default True).
            progress: called with the number of jobs moved, after each chunk.

        Returns:
            How many came back. A job that fails again meanwhile is left.

        Raises:
            InvalidInput: the filter cannot be used.

        """
        return run(
            self._queue.requeue_matching, filter, at_front=at_front, reset_retries=reset_retries, progress=progress
        )

    def cancel_matching(
        self,
        filter: Filter | str,  # noqa: A002 - what it is
        *,
        progress: Callable[[int], None] | None = None,
    ) -> int:
        """Cancel all jobs that a filter is for, as `requeue_matching` brings them back; how many were canceled."""
        return run(self._queue.cancel_matching, filter, progress=progress)

    def delete_matching(
        self,
        filter: Filter | str,  # noqa: A002 - what it is
        *,
        progress: Callable[[int], None] | None = None,
    ) -> int:
        """Delete all jobs that a filter is for, as `requeue_matching` brings them back; how many were deleted."""
        return run(self._queue.delete_matching, filter, progress=progress)

    def failures(self, limit: int | None = None, *, muted: bool | None = None) -> list[FailureGroup]:
        """What the failed jobs have failed of: a group for each fingerprint, the one that was seen last first.

        A fingerprint is made of the function, the class of the exception, the place where it was raised and its
        message without numbers, ids and quoted values. A queue keeps 1000; jobs with any other one are "other".

        Args:
            limit: the most groups (default None: all).
            muted: only groups that are muted, or only those that are not (default None: both).

        Example:
            >>> for group in queue.failures(limit=10):  # doctest: +SKIP
            ...     print(group.count, group.function, group.error_type, group.error_message)

        """
        return run(self._queue.failures, limit, muted=muted)

    def mute_failure(
        self, fingerprint: FailureGroup | str, duration: Duration | None = None, *, muted_by: str | None = None
    ) -> None:
        """Say that nobody needs to look at the failures with a fingerprint. They are counted and kept as before.

        Args:
            fingerprint: that of the group, or the group.
            duration: for how long (default None: until `unmute_failure`).
            muted_by: who says so; it is shown (default None: who acts, if `acting_as` says that).

        Raises:
            InvalidInput: a value cannot be used.
            NoSuchFailureError: no failed job has this fingerprint.

        """
        run(self._queue.mute_failure, fingerprint, duration, muted_by=muted_by)

    def unmute_failure(self, fingerprint: FailureGroup | str) -> None:
        """Take back `mute_failure`. Raises as that does."""
        run(self._queue.unmute_failure, fingerprint)
