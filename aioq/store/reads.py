"""Reads: what is stored of a queue. They never write, but for the repairs of an examination."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from aioq.store.calls import Calls, verdict_of
from aioq.store.examination import Finding, Subject, read_findings
from aioq.store.explained import EXACT, MOST, ROWS, read_facts
from aioq.store.listing import Callbacks, Listing
from aioq.store.net.command import Command
from aioq.store.outbox import TAKER
from aioq.store.reply import fields_of, text
from aioq.values.counts import Counts
from aioq.values.facts import JobFacts
from aioq.values.options import EXPIRED_TTL_MS
from aioq.values.pause import Pause, read_pause
from aioq.values.rate import MINUTES
from aioq.values.record import JobRecord
from aioq.values.retry_budget import FIELDS, RetryBudget, read_budget
from aioq.values.states import JobStatus

#: Of how many jobs that follow from one `followers` tells, and one more.
MOST_FOLLOWERS = 1000


class Reads:
    """What is stored of a queue.

    Args:
        calls: the queue's.

    """

    def __init__(self, calls: Calls) -> None:
        self._calls = calls

    async def load(self, ids: Sequence[str]) -> list[JobRecord | None]:
        """The records of these jobs, in order; None for one that is gone."""
        if not ids:
            return []

        reply = await self._calls.call("load", ids=list(ids))

        return [
            JobRecord(job_id, fields_of(row), self._calls.signer) if row else None
            for job_id, row in zip(ids, reply[1], strict=True)
        ]

    async def explain(self, job_id: str, nonce: bytes = b"") -> JobFacts:
        """What keeps a job from running, or how it ended.

        Args:
            job_id: the job.
            nonce: that of the call which chose the id, if it is known; so a job that is gone is known longer.

        """
        calls = self._calls
        reply = await calls.call(
            "explain", id=job_id, nonce=nonce, exact=EXACT, most=MOST, minutes_back=MINUTES, most_rows=ROWS
        )

        return read_facts(calls.queue, job_id, calls.signer, reply)

    async def attempts(self, job_id: str) -> list[bytes]:
        """What is kept of the job's earlier runs, oldest first, each as JSON."""
        reply: list[bytes] = await self._calls.send(("LRANGE", self._calls.keys.attempts + job_id.encode(), 0, -1))

        return reply

    async def exist(self, ids: Sequence[str]) -> list[bool]:
        """Whether there are records with these ids."""
        if not ids:
            return []

        key = self._calls.keys.job
        replies = await self._calls.connection.calls([("EXISTS", key + each.encode()) for each in ids])

        return [bool(reply) for reply in replies]

    async def dependents(self, job_id: str, most: int = -1) -> list[str]:
        """The ids of the jobs that wait for this one, without those that only take its result still.

        Args:
            job_id: the job.
            most: so many of them (default -1: all).

        """
        key = self._calls.keys.dependents + job_id.encode()
        found = await self._calls.send(("ZRANGE", key, "-inf", f"({TAKER:g}", "BYSCORE", "LIMIT", 0, most))

        return [each.decode(errors="backslashreplace") for each in found]

    async def followers(self, job_id: str) -> tuple[list[tuple[str, float]], list[str]]:
        """What a job is to others, at most 1,001 of each: one more than anybody shows.

        Returns:
            The jobs that depend on it or take its result, by their names, each with the number of its policy (see
            `store/outbox.py`). And the ids of its children that have not finished.

        """
        keys, name = self._calls.keys, job_id.encode()
        ranges: list[Command] = [
            ("ZRANGE", keys.dependents + name, 0, MOST_FOLLOWERS, "WITHSCORES"),
            ("ZRANGE", keys.children + name, 0, MOST_FOLLOWERS),
        ]
        dependents, children = await self._calls.connection.calls(ranges)
        flat = iter(dependents)

        return [(text(each), float(number)) for each, number in zip(flat, flat, strict=True)], [
            child for each in children if (child := text(each)) != job_id
        ]

    async def count(self) -> Counts:
        """How many jobs are in each state."""
        return read_counts(await self._calls.send(self.count_command()))

    def count_command(self) -> Command:
        """The call that counts jobs; `read_counts` reads its reply."""
        return self._calls.command("count", expired_ttl=EXPIRED_TTL_MS)

    async def ids(
        self,
        state: JobStatus | Callbacks,
        offset: int = 0,
        limit: int | None = None,
        *,
        desc: bool = False,
        before_ms: int | None = None,
    ) -> tuple[list[str], int]:
        """Ids of the jobs in one state, and the server's clock in ms when it was asked first."""
        listing = self.listing(state, offset, limit, desc=desc, before_ms=before_ms)
        found = [job_id async for ids in listing for job_id in ids]

        return found, listing.began_ms

    def listing(
        self,
        state: JobStatus | Callbacks,
        offset: int = 0,
        limit: int | None = None,
        *,
        desc: bool = False,
        size: int | None = None,
        before_ms: int | None = None,
        is_closed: bool = False,
    ) -> Listing:
        """The ids of the jobs in one state, page by page; the arguments are those of `Listing`."""
        return Listing(
            self._page, state, offset, limit, desc=desc, size=size, before_ms=before_ms, is_closed=is_closed
        )

    async def _page(
        self,
        state: JobStatus | Callbacks,
        cursor: bytes,
        skip: int,
        limit: int,
        page: int,
        order: str,
        before: int | str,
    ) -> Any:
        return await self._calls.call(
            "ids",
            state=state,
            cursor=cursor,
            skip=skip,
            limit=limit,
            page=page,
            order=order,
            before=before,
            since="",
            expired_ttl=EXPIRED_TTL_MS,
        )

    # Looking for damage

    async def examine(self, subjects: Sequence[Subject], *, repair: bool = False) -> list[Finding]:
        """What is wrong with these subjects at one moment; `Examination` names all subjects of a queue.

        Args:
            subjects: as many as one script may look at: `examination.CHUNK`.
            repair: repair what is found, in the same call.

        """
        return read_findings(await self._calls.send(self.examine_command(subjects, repair=repair)))

    def examine_command(self, subjects: Sequence[Subject], *, repair: bool) -> Command:
        """The call that examines; `read_findings` reads its reply."""
        flat = [part for subject in subjects for part in subject]

        return self._calls.command(
            "examine", repair="1" if repair else "", expired_ttl=EXPIRED_TTL_MS, subjects=flat
        )

    async def retry_budget(self) -> RetryBudget | None:
        """How many retries the queue takes; None: as many as come."""
        return read_budget(await self._calls.send(self.retry_budget_command()))

    def retry_budget_command(self) -> Command:
        """The call that asks for the budget; `read_budget` reads its reply."""
        return ("HMGET", self._calls.keys.retry_budget, *FIELDS)

    def pauses_commands(self) -> list[Command]:
        """The calls that ask what keeps all workers from the queue; `read_pauses` reads their replies."""
        keys = self._calls.keys

        return [(word, key) for key in (keys.suspended, keys.paused) for word in ("GET", "PTTL")]

    async def is_paused(self) -> bool:
        return bool(await self._calls.send(("EXISTS", self._calls.keys.paused, self._calls.keys.suspended)))


def read_counts(reply: Any) -> Counts:
    """The numbers in a reply of `count_command`."""
    verdict_of("count", reply)
    flat = iter(reply[1])
    found = {JobStatus(name.decode()): number for name, number in zip(flat, flat, strict=True)}

    return Counts({state: found[state] for state in JobStatus}, reply[2], reply[3])


def read_pauses(replies: Sequence[Any]) -> list[Pause]:
    """The pauses in the replies of `pauses_commands`."""
    suspended, left_suspended, paused, left_paused = replies
    found = [
        read_pause(suspended, left_suspended, everywhere=True),
        read_pause(paused, left_paused, everywhere=False),
    ]

    return [each for each in found if each is not None]
