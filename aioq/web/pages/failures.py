"""What failed jobs have failed of: a group for each fingerprint, the one that was seen last first."""

from __future__ import annotations

import asyncio
from typing import NamedTuple

from aioq.store.sight import failures_of
from aioq.values.errors import ServerError
from aioq.values.failure_group import FailureGroup
from aioq.values.summary import printable
from aioq.web.board import Board
from aioq.web.page import Ask, Facts, Page
from aioq.web.words import milliseconds

#: Groups on one page.
PAGE_GROUPS = 50


class GroupRow(NamedTuple):
    """A group as the page shows it. Moments are in ms; 0: not known."""

    queue: str
    fingerprint: str
    jobs: int
    function: str
    error: str
    first_ms: int
    last_ms: int
    last_job: str
    worker: str
    is_muted: bool
    muted_until_ms: int
    muted_by: str


async def read(ask: Ask) -> Facts:
    """Three round trips: the names of the queues, and their groups."""
    board, wanted = ask.board, ask.query.get("queue", "")
    away: dict[str, ServerError] = {}
    names, now_ms = await asyncio.gather(board.names(), board.now_ms())
    found = await failures_of(board.connection, [name for name in names if wanted in ("", name)], away)
    is_muted = ask.query.get("muted", "") == "yes"
    shown = [each for each in found if each[1].is_muted == is_muted]
    skip = _number(ask.query.get("skip", ""))

    return {
        "groups": [_row(board, name, group) for name, group in shown[skip : skip + PAGE_GROUPS]],
        "total": len(shown),
        "jobs": sum(group.count for _, group in shown),
        "others": len(found) - len(shown),
        "is_muted": is_muted,
        "skip": skip,
        "following": skip + PAGE_GROUPS if len(shown) > skip + PAGE_GROUPS else 0,
        "queue": wanted,
        "away": away,
        "now_ms": now_ms,
    }


def _number(given: str) -> int:
    return int(given) if given.isascii() and given.isdecimal() and len(given) < 5 else 0


def _row(board: Board, queue: str, group: FailureGroup) -> GroupRow:
    line = ": ".join(filter(None, (group.error_type, group.error_message)))

    return GroupRow(
        queue,
        group.fingerprint,
        group.count,
        printable(group.function),
        printable(board.shown_of(group.function, "error", line)) if line else "",
        milliseconds(group.first_seen),
        milliseconds(group.last_seen),
        group.last_job_id,
        group.worker,
        group.is_muted,
        milliseconds(group.muted_until),
        group.muted_by,
    )


PAGE = Page("failures", "/failures", read, "Failures")
