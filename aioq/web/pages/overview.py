"""The overview: how things stand, in one sentence and a few figures."""

from __future__ import annotations

import asyncio

from aioq.values.states import JobStatus
from aioq.web.health import concerns, headline
from aioq.web.page import Ask, Facts, Page
from aioq.web.past import MOST_QUEUES, last_of, shown
from aioq.web.rows import JobRow, job_row
from aioq.web.words import milliseconds

#: The most failed jobs that are shown.
LAST_FAILED = 8


async def read(ask: Ask) -> Facts:
    """Five round trips: names, queues and workers, the jobs that are next, the last failed ones and the past."""
    board = ask.board
    (sights, away), workers, now_ms = await asyncio.gather(board.queues(), board.workers(), board.now_ms())
    server = board.server()
    counts = [sight.info.counts for sight in sights]
    waiting_since = [milliseconds(each.next_up.enqueued_at) for each in sights if each.next_up is not None]
    due = [each.next_due.due_ms for each in sights if each.next_due is not None]
    failing = [each.info.name for each in sights if each.info.counts[JobStatus.FAILED]]
    busiest = sorted(sights, key=lambda each: -sum(each.info.counts[state] for state in JobStatus))[:MOST_QUEUES]
    failed, statistics = await asyncio.gather(
        _last_failed(ask, failing),
        board.past.of(sorted(each.info.name for each in busiest), last_of(ask.query)),
    )
    found = concerns(sights, server.settings or (), away, now_ms)

    return {
        "sights": sights,
        "workers": workers,
        "server": server,
        "concerns": found,
        "headline": headline(found),
        "totals": {state.value: sum(each[state] for each in counts) for state in JobStatus},
        "oldest_ms": min((each for each in waiting_since if each), default=0),
        "due_ms": min((each for each in due if each), default=0),
        "slots": (sum(each.running for each in workers), sum(each.concurrency for each in workers)),
        "failed": failed,
        "left_out": len(sights) - len(busiest),
        "now_ms": now_ms,
    } | shown("", statistics, ask.query)


async def _last_failed(ask: Ask, names: list[str]) -> list[JobRow]:
    """The jobs that failed last, of the first queues that have any."""
    rows: list[JobRow] = []

    async def of_queue(name: str) -> None:
        lists = ask.board.store(name).lists
        ids = (await lists.page(JobStatus.FAILED, LAST_FAILED, desc=True)).ids
        rows.extend(job_row(ask.board, name, record) for record in await lists.glance(ids) if record is not None)

    await asyncio.gather(*map(of_queue, names[:LAST_FAILED]))

    return sorted(rows, key=lambda row: -row.at_ms)[:LAST_FAILED]


PAGE = Page("overview", "/", read, "Overview")
