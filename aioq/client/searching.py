"""Searching: the jobs of a queue that a filter is for, and what is done to all of them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass, replace
from typing import Any, Literal

from aioq.client.job import Job
from aioq.client.parts import part_of
from aioq.client.plain import awaited
from aioq.store import Store
from aioq.store.acting import act_of, actor_now
from aioq.store.searching import STEP, Progress, read_cursor
from aioq.values.durations import FOREVER, Duration, positive_ms
from aioq.values.errors import InvalidInput, InvalidType, NoSuchFailureError
from aioq.values.failure_group import FailureGroup, check_fingerprint
from aioq.values.filter import Filter, make_filter
from aioq.values.numbers import whole
from aioq.values.states import JobStatus, allows

#: What can be done to all jobs that a filter is for.
Verb = Literal["requeue", "cancel", "delete"]


@dataclass(frozen=True, slots=True)
class SearchPage:
    """What a search has found so far.

    Args:
        jobs: snapshots of the jobs that this page brings.
        cursor: where the next page begins; None: the search is over.
        scanned: how many jobs were looked at, with all pages before.
        matched: how many of them the filter was for; of a search that is over, that is the exact number.
        total: how many jobs there were to look at when the search began.

    """

    jobs: list[Job[Any]]
    cursor: str | None
    scanned: int
    matched: int
    total: int


@part_of("Queue")
class Searches:
    """The part of a queue that finds jobs, and what they have failed of."""

    store: Store

    @awaited
    async def search(
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
            >>> page = await queue.search('state:failed error:"time out"', limit=20)
            >>> page.matched, page.cursor
            (0, None)

        """
        found = read_filter(filter, conditions)
        most, looks = 100 if limit is None else whole(limit, "limit", 1), whole(scan, "scan", 1)
        progress = await self._begin(found) if cursor is None else read_cursor(cursor, found)
        began, ids = progress.scanned, list[str]()

        while not progress.is_over and len(ids) < most and progress.scanned - began < looks:
            some, progress = await self.store.searching.step(found, progress, min(STEP, most - len(ids)))
            ids += some

        jobs: list[Job[Any]] = [
            Job(record, self.store) for record in await self.store.reads.load(ids) if record is not None
        ]

        return SearchPage(
            jobs,
            None if progress.is_over else progress.pack(found),
            progress.scanned,
            progress.matched,
            progress.total,
        )

    @awaited
    async def requeue_matching(
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
        options = {"at_front": at_front, "reset": reset_retries}

        return await self._on_all("requeue", filter, progress, **options)

    @awaited
    async def cancel_matching(
        self,
        filter: Filter | str,  # noqa: A002 - what it is
        *,
        progress: Callable[[int], None] | None = None,
    ) -> int:
        """Cancel all jobs that a filter is for, as `requeue_matching` brings them back; how many were canceled."""
        return await self._on_all("cancel", filter, progress)

    @awaited
    async def delete_matching(
        self,
        filter: Filter | str,  # noqa: A002 - what it is
        *,
        progress: Callable[[int], None] | None = None,
    ) -> int:
        """Delete all jobs that a filter is for, as `requeue_matching` brings them back; how many were deleted."""
        return await self._on_all("delete", filter, progress)

    @awaited
    async def failures(self, limit: int | None = None, *, muted: bool | None = None) -> list[FailureGroup]:
        """What the failed jobs have failed of: a group for each fingerprint, the one that was seen last first.

        A fingerprint is made of the function, the class of the exception, the place where it was raised and its
        message without numbers, ids and quoted values. A queue keeps 1000; jobs with any other one are "other".

        Args:
            limit: the most groups (default None: all).
            muted: only groups that are muted, or only those that are not (default None: both).

        Example:
            >>> for group in await queue.failures(limit=10):  # doctest: +SKIP
            ...     print(group.count, group.function, group.error_type, group.error_message)

        """
        most = None if limit is None else whole(limit, "limit")
        groups = [each for each in await self.store.failures.all() if muted is None or each.is_muted == muted]
        groups.sort(key=lambda each: (each.last_seen is not None and each.last_seen.timestamp(), each.fingerprint))

        return groups[::-1][:most]

    @awaited
    async def mute_failure(
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
        ms = FOREVER if duration is None else positive_ms(duration, "duration")
        actor = actor_now()
        by = (actor.by if actor else "") if muted_by is None else muted_by
        await self._mute(check_fingerprint(fingerprint), ms, by)

    @awaited
    async def unmute_failure(self, fingerprint: FailureGroup | str) -> None:
        """Take back `mute_failure`. Raises as that does."""
        await self._mute(check_fingerprint(fingerprint), 0, "")

    async def _mute(self, fingerprint: str, ms: int, by: str) -> None:
        if not isinstance(by, str) or len(by) > _MAX_BY:
            raise InvalidInput(f"muted_by={by!r:.50}: expected a text of at most {_MAX_BY} characters")

        if not await self.store.failures.mute(fingerprint, ms, by):
            raise NoSuchFailureError(
                f"no failed job of queue {self.store.queue} has the fingerprint {fingerprint}"
            )

    async def _begin(self, filter: Filter) -> Progress:  # noqa: A002 - what it is
        return await self.store.searching.begin(filter)

    async def _on_all(
        self,
        verb: Verb,
        filter: Filter | str,  # noqa: A002 - what it is
        progress: Callable[[int], None] | None,
        **options: bool,
    ) -> int:
        done = 0

        async for moved in on_all(self.store, verb, read_filter(filter, {}), **options):
            done += moved

            if progress is not None:
                progress(moved)

        return done


_MAX_BY = 200


def read_filter(filter: Filter | str, conditions: dict[str, Any]) -> Filter:  # noqa: A002 - what it is
    """A filter as users give it.

    Raises:
        InvalidInput: it cannot be used.

    """
    if conditions and filter not in ("", Filter()):
        raise InvalidInput(f"give a filter, or its parts ({', '.join(conditions)}), and not both")

    if unknown := conditions.keys() - set(Filter.__slots__):
        raise InvalidInput(
            f"{', '.join(sorted(unknown))}: no such condition; there are {', '.join(Filter.__slots__)}"
        )

    if isinstance(filter, Filter):
        return make_filter(**conditions) if conditions else filter

    if not isinstance(filter, str):
        raise InvalidType(f"filter={filter!r}: expected a text or a Filter, not {type(filter).__name__}")

    return make_filter(**conditions) if conditions else Filter.parse(filter)


def narrowed(filter: Filter, verb: Verb) -> Filter:  # noqa: A002 - what it is
    """The filter for those jobs alone that allow the verb.

    Raises:
        InvalidInput: none of the states that it names does, or it has no condition.

    """
    if filter == Filter():
        raise InvalidInput("filter: it has no condition, so it would be for all jobs of the queue; name a state")

    if verb == "delete":
        return filter

    states = tuple(state for state in JobStatus if allows(state, verb) and filter.takes(state))

    if not states:
        word = "requeued" if verb == "requeue" else "canceled"

        raise InvalidInput(f"filter: no job of the states that it names can be {word}")

    return replace(filter, states=states)


async def on_all(store: Store, verb: Verb, filter: Filter, **options: bool) -> AsyncGenerator[int]:  # noqa: A002
    """Do something to all jobs that a filter is for, in chunks. Yields to how many it was done, for each.

    Lists are gone through from their newest job on, so one that comes back into a list meanwhile is not met again.

    Raises:
        InvalidInput: the filter is for all jobs.

    """
    if filter == Filter():
        raise InvalidInput("filter: it has no condition, so it would be for all jobs of the queue; name a state")

    progress = await store.searching.begin(filter)
    act = act_of(verb, str(filter))

    while not progress.is_over:
        ids, progress = await store.searching.step(filter, progress)

        if ids:
            yield await _do(store, verb, ids, options, act)


async def _do(store: Store, verb: Verb, ids: list[str], options: dict[str, Any], act: str) -> int:
    if verb == "delete":
        return await store.changes.delete(ids, act=act)

    if verb == "requeue":
        return (await store.changes.requeue(ids, act=act, **options)).count("ok")

    verdicts = await asyncio.gather(*(store.changes.cancel(each, act=act) for each in ids))

    return sum(verdict == "ok" for verdict, _ in verdicts)
