"""Lists: a page of the jobs in one state, and what it shows of each. However long the list is, that is short.

No call takes the server longer than about a millisecond. What would take longer is several calls in one
round trip.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from aioq.store.calls import Calls, verdict_of
from aioq.store.listing import PAGE
from aioq.store.net.command import Command
from aioq.store.reply import fields_of, text
from aioq.values.options import EXPIRED_TTL_MS
from aioq.values.record import JobRecord
from aioq.values.states import JobStatus

#: The most bytes of a field that a list shows of a job.
GLANCE_BYTES = 2048

#: Jobs that one call glances at: about a third of a millisecond.
GLANCED = 15


class IdPage(NamedTuple):
    """A part of a list of ids.

    Args:
        ids: in the order of the list.
        cursor: where the next page begins; empty: there is none.
        marks: where the page may end earlier, each as a number of ids and the cursor behind these.

    """

    ids: list[str]
    cursor: bytes
    marks: list[tuple[int, bytes]]


class Lists:
    """Pages of the jobs of a queue.

    Args:
        calls: the queue's.

    """

    def __init__(self, calls: Calls) -> None:
        self._calls = calls

    async def glance(self, ids: Sequence[str]) -> list[JobRecord | None]:
        """As `load`, for lists: without results, meta and long arguments, so that a reply is always short."""
        return self.read_glance(ids, await self._calls.connection.calls(self.glance_commands(ids))) if ids else []

    def glance_commands(self, ids: Sequence[str]) -> list[Command]:
        """The calls that bring what lists show of jobs; `read_glance` reads their replies."""
        return [
            self._calls.command("glance", most=GLANCE_BYTES, ids=list(ids[at : at + GLANCED]))
            for at in range(0, len(ids), GLANCED)
        ]

    def read_glance(self, ids: Sequence[str], replies: Sequence[Any]) -> list[JobRecord | None]:
        """The records in the replies of `glance_commands`. One whose arguments were left out has a field `cut`."""
        for reply in replies:
            verdict_of("glance", reply)

        rows = [row for reply in replies for row in reply[1]]

        return [
            JobRecord(job_id, fields_of(row), self._calls.signer) if row else None
            for job_id, row in zip(ids, rows, strict=True)
        ]

    async def page(self, state: JobStatus, limit: int, *, cursor: str = "", desc: bool = False) -> IdPage:
        """One page of the ids of the jobs in one state, by one call; and the cursor of the next page.

        Args:
            state: the state. The pages of started jobs come by their lanes, and not by when they were started.
            limit: the most ids.
            cursor: where the page before has ended ("": the first page). A text that is none begins anew.
            desc: the last one first.

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
            since="",
            expired_ttl=EXPIRED_TTL_MS,
        )


def read_page(reply: Any) -> IdPage:
    """The page in a reply of `ids.lua`."""
    verdict_of("ids", reply)

    flat = iter(reply[6])

    return IdPage([text(each) for each in reply[1]], reply[3], list(zip(flat, flat, strict=True)))
