"""Lists: a page of the jobs in one state, and what it shows of each. However long the list is, that is short."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from aioq.store.calls import Calls, verdict_of
from aioq.store.listing import PAGE
from aioq.store.net.command import Command
from aioq.store.reply import fields_of, text
from aioq.values.options import EXPIRED_TTL_MS
from aioq.values.record import JobRecord
from aioq.values.states import JobStatus

#: The most bytes of a field that a list shows of a job.
GLANCE_BYTES = 2048


class Lists:
    """Pages of the jobs of a queue.

    Args:
        calls: the queue's.

    """

    def __init__(self, calls: Calls) -> None:
        self._calls = calls

    async def glance(self, ids: Sequence[str]) -> list[JobRecord | None]:
        """As `load`, for lists: without results, meta and long arguments, so that a reply is always short."""
        return self.read_glance(ids, await self._calls.send(self.glance_command(ids))) if ids else []

    def glance_command(self, ids: Sequence[str]) -> Command:
        """The call that brings what lists show of jobs; `read_glance` reads its reply."""
        return self._calls.command("glance", most=GLANCE_BYTES, ids=list(ids))

    def read_glance(self, ids: Sequence[str], reply: Any) -> list[JobRecord | None]:
        """The records in a reply of `glance_command`. One whose arguments were left out has a field `cut`."""
        verdict_of("glance", reply)

        return [
            JobRecord(job_id, fields_of(row), self._calls.signer) if row else None
            for job_id, row in zip(ids, reply[1], strict=True)
        ]

    async def page(
        self, state: JobStatus, limit: int, *, cursor: str = "", desc: bool = False
    ) -> tuple[list[str], str]:
        """One page of the ids of the jobs in one state, by one call; and the cursor of the next page.

        Args:
            state: the state. The pages of started jobs come by their lanes, and not by when they were started.
            limit: the most ids.
            cursor: where the page before has ended ("": the first page). A text that is none begins anew.
            desc: the last one first.

        Returns:
            The ids, and a cursor; "" if there is no further page.

        """
        return read_page(await self._calls.send(self.page_command(state, limit, cursor=cursor, desc=desc)))

    def page_command(self, state: JobStatus, limit: int, *, cursor: str = "", desc: bool = False) -> Command:
        """The call that brings a page of ids; `read_page` reads its reply."""
        return self._calls.command(
            "ids",
            state=state,
            cursor=cursor,
            skip=0,
            limit=limit,
            page=PAGE,
            order="desc" if desc and state != JobStatus.STARTED else "asc",
            before="",
            expired_ttl=EXPIRED_TTL_MS,
        )


def read_page(reply: Any) -> tuple[list[str], str]:
    """The ids in a reply of `page_command`, and the cursor of the next page."""
    verdict_of("ids", reply)

    return [text(each) for each in reply[1]], text(reply[3])
