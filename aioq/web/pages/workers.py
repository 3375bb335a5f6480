"""The workers: where they are, what they serve, and what they run just now."""

from __future__ import annotations

import asyncio
from typing import NamedTuple

from aioq.store.sight import runs_of
from aioq.values.departed import REASONS
from aioq.values.errors import ServerError
from aioq.web.page import Ask, Facts, Page
from aioq.web.rows import JobRow, job_row
from aioq.web.words import milliseconds

#: The most workers that have left that are shown.
MOST_LEFT = 20


async def read(ask: Ask) -> Facts:
    """Five round trips: the names of queues and of workers, what workers tell, the ids of runs, and the runs."""
    board = ask.board
    away: dict[str, ServerError] = {}
    workers, names, now_ms = await asyncio.gather(board.workers(), board.names(), board.now_ms())
    runs: dict[str, list[JobRow]] = {}
    found, departed = await asyncio.gather(runs_of(board.connection, names, away), _departed(ask, names))

    for queue, record in found:
        runs.setdefault(record.worker or "", []).append(job_row(board, queue, record))

    known = {each.name for each in workers}

    return {
        "workers": workers,
        "runs": runs,
        "lost": {name: rows for name, rows in runs.items() if name not in known},
        "departed": departed,
        "reasons": REASONS,
        "away": away,
        "now_ms": now_ms,
    }


class Departure(NamedTuple):
    """A worker that has left: its queues, when, why, and the jobs that it held, each with its queue."""

    name: str
    queues: list[str]
    left_ms: int
    reason: str
    held: int
    jobs: list[tuple[str, str]]


async def _departed(ask: Ask, names: list[str]) -> list[Departure]:
    """The workers that left last; one that served several queues has left each of them."""
    listed = await asyncio.gather(*(ask.board.store(name).statistics.departed(MOST_LEFT) for name in names))
    found: dict[str, Departure] = {}

    for queue, some in zip(names, listed, strict=True):
        for each in some:
            jobs = [(job_id, queue) for job_id in each.job_ids]
            left_ms = milliseconds(each.left_at)
            known = found.get(each.name, Departure(each.name, [], 0, each.reason, 0, []))
            found[each.name] = Departure(
                each.name,
                [*known.queues, queue],
                max(known.left_ms, left_ms),
                each.reason if left_ms >= known.left_ms else known.reason,
                known.held + each.held,
                [*known.jobs, *jobs],
            )

    return sorted(found.values(), key=lambda each: (-each.left_ms, each.name))[:MOST_LEFT]


PAGE = Page("workers", "/workers", read, "Workers")
