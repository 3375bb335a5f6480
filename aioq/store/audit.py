"""Audit: who has done what to a queue, and to its jobs."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from typing import Any

from aioq.store.calls import Calls
from aioq.store.net.command import Command
from aioq.values.audit import MOST_ENTRIES, AuditEntry, read_entry

#: Rows that one call brings: less than a millisecond of the server's time.
PAGE = 500


class Audit:
    """The audit of a queue.

    Args:
        calls: the queue's.

    """

    def __init__(self, calls: Calls) -> None:
        self._calls = calls

    def command(self, act: str, subjects: Sequence[str] = (), count: int = 0) -> Command:
        """The call that adds a row. The caller sends it together with the change that the row is about.

        Args:
            act: what `act_of` returns.
            subjects: what it concerned; the first 20 are kept.
            count: how many there were.

        """
        repeat_ms = self._calls.connection.repeat_ms
        call = f"{secrets.token_hex(6) if repeat_ms else ''} {act}"

        return self._calls.command("audit", call=call, repeat_ms=repeat_ms, count=count, subjects=list(subjects))

    async def add(self, act: str, subjects: Sequence[str] = (), count: int = 0) -> None:
        """As `command`. Nothing is added if nobody has said who acts."""
        if act:
            await self._calls.send(self.command(act, subjects, count))

    def rows_command(self, limit: int, offset: int = 0) -> Command:
        """The call for rows, the newest first; `read_rows` reads its reply."""
        return ("ZRANGE", self._calls.keys.audit, offset, offset + limit - 1, "REV", "WITHSCORES")

    async def rows(self, limit: int = MOST_ENTRIES, job_id: str = "") -> list[AuditEntry]:
        """The rows, the newest first. One that comes meanwhile is not there.

        Args:
            limit: the most rows.
            job_id: only rows that name this job (default "": all).

        """
        found: dict[bytes, AuditEntry | None] = {}
        offset = 0

        while limit > 0 and len(found) < limit:
            reply = await self._calls.send(self.rows_command(PAGE, offset))
            found |= dict(_pairs(reply, job_id))  # a row that was there before stands in two pages if one has come
            offset += PAGE

            if len(reply) < 2 * PAGE:
                break

        return [each for each in [*found.values()][:limit] if each is not None]

    async def forget(self) -> None:
        """Remove all rows."""
        await self._calls.send(("DEL", self._calls.keys.audit))


def read_rows(reply: Any, job_id: str = "") -> list[AuditEntry]:
    """The rows in the reply to `rows_command`; with a job, only those that name it."""
    return [each for _, each in _pairs(reply, job_id) if each is not None]


def _pairs(reply: Any, job_id: str) -> list[tuple[bytes, AuditEntry | None]]:
    flat = iter(reply)
    name = job_id.encode()
    rows = [(row, at_ms) for row, at_ms in zip(flat, flat, strict=True) if name in row]  # most rows need no more
    found = [(row, read_entry(row, float(at_ms))) for row, at_ms in rows]

    return [(row, each) for row, each in found if not job_id or (each is not None and job_id in each.subjects)]
