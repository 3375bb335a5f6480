"""The workers: where they are, what they serve, and what they run just now."""

from __future__ import annotations

import asyncio

from aioq.store.sight import runs_of
from aioq.values.errors import ServerError
from aioq.web.page import Ask, Facts, Page
from aioq.web.rows import JobRow, job_row


async def read(ask: Ask) -> Facts:
    """Five round trips: the names of queues and of workers, what workers tell, the ids of runs, and the runs."""
    board = ask.board
    away: dict[str, ServerError] = {}
    workers, names, now_ms = await asyncio.gather(board.workers(), board.names(), board.now_ms())
    runs: dict[str, list[JobRow]] = {}

    for queue, record in await runs_of(board.connection, names, away):
        runs.setdefault(record.worker or "", []).append(job_row(board, queue, record))

    known = {each.name for each in workers}

    return {
        "workers": workers,
        "runs": runs,
        "lost": {name: rows for name, rows in runs.items() if name not in known},
        "away": away,
        "now_ms": now_ms,
    }


PAGE = Page("workers", "/workers", read, "Workers")
