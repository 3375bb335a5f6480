"""One queue: its numbers, who serves it, what runs and what is next; pause, resume and empty."""

from __future__ import annotations

import asyncio

from aioq.store import Directory
from aioq.store.sight import runs_of
from aioq.values.errors import ServerError
from aioq.values.ids import is_queue_name
from aioq.values.states import JobStatus
from aioq.web.page import Ask, Facts, NotFound, Page
from aioq.web.past import last_of, shown
from aioq.web.rows import JobRow, job_row

#: The most waiting jobs that are shown.
NEXT_JOBS = 10


async def read(ask: Ask) -> Facts:
    """Five round trips at most: whether it is there, its numbers, its workers, its runs, and what is next."""
    name, board = ask.path["name"], ask.board

    if not is_queue_name(name) or await Directory(board.connection, away={}).missing([name]):
        raise NotFound(
            f"There is no queue {name}. A queue is there once a job was put into it, or a worker serves it."
        )

    away: dict[str, ServerError] = {}
    (sights, missing), workers, runs, rows, statistics, now_ms = await asyncio.gather(
        board.queues([name]),
        board.workers(),
        runs_of(board.connection, [name], away),
        _next(ask, name),
        board.past.of([name], last_of(ask.query)),
        board.now_ms(),
    )

    if missing or away:
        raise next(iter((missing | away).values()))

    return {
        "title": f"Queue {name}",
        "sight": sights[0],
        "workers": [each for each in workers if name in each.queues],
        "runs": [job_row(board, queue, record) for queue, record in runs],
        "rows": rows,
        "now_ms": now_ms,
    } | shown(name, statistics, ask.query)


async def _next(ask: Ask, name: str) -> list[JobRow]:
    lists = ask.board.store(name).lists
    ids = (await lists.page(JobStatus.QUEUED, NEXT_JOBS)).ids

    return [job_row(ask.board, name, record) for record in await lists.glance(ids) if record is not None]


PAGE = Page("queue", "/queues/{name:path}", read)
