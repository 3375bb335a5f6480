"""Reading: the view of a place, from the server. Each page costs at most five round trips, as in the dashboard."""

from __future__ import annotations

import asyncio

from aioq.cli.screen import overview, story
from aioq.cli.screen.layout import help_view
from aioq.cli.screen.state import Place
from aioq.cli.screen.view import Page, View
from aioq.client.explained import explain_job
from aioq.store.sight import failures_of, runs_of
from aioq.values.errors import ServerError
from aioq.values.states import JobStatus
from aioq.values.statistics import QueueStatistics
from aioq.web.board import Board
from aioq.web.page import Ask, NotFound
from aioq.web.pages import job, queue
from aioq.web.pages import overview as overview_page
from aioq.web.rows import JobRow, job_row, shown_call

#: Rates are those of the last minutes, in seconds; and of so many queues around the selected one.
RATES_S, RATED_QUEUES = 300, 40

#: The jobs that failed last, of a queue.
LAST_FAILED = 20


async def read(board: Board, place: Place) -> View:
    """What a place shows now.

    Raises:
        ServerError: it cannot be read.

    """
    if place.page == Page.HELP:
        return help_view()

    if place.page == Page.FAILURES:
        return await _failures(board)

    if place.page == Page.WORKERS:
        return await _workers(board)

    if place.page == Page.QUEUE:
        return await _queue(board, place.queue)

    if place.page == Page.JOB:
        return await _job(board, place)

    facts, rates = await asyncio.gather(overview_page.read(_ask(board)), _rates(board, place.cursor))

    return overview.overview(facts, rates)


def _ask(board: Board, path: dict[str, str] | None = None, query: dict[str, str] | None = None) -> Ask:
    return Ask(board, path or {}, query or {}, may_act=False)


async def _rates(board: Board, cursor: int) -> dict[str, QueueStatistics]:
    """What the queues around the selected one have done. Three round trips, beside others."""
    names = await board.names()
    start = max(0, min(cursor, len(names)) - RATED_QUEUES // 2)
    wanted = names[start : start + RATED_QUEUES]
    found = await asyncio.gather(*(_rate(board, name) for name in wanted))

    return {name: each for name, each in zip(wanted, found, strict=True) if each is not None}


async def _rate(board: Board, name: str) -> QueueStatistics | None:
    """None: it cannot be read. The page says so of the queue itself."""
    try:
        return await board.store(name).statistics.read("minute", RATES_S)
    except ServerError:
        return None


async def _queue(board: Board, name: str) -> View:
    try:
        facts, failed, done = await asyncio.gather(
            queue.read(_ask(board, {"name": name})), _last_failed(board, name), _rate(board, name)
        )
    except NotFound as error:
        return story.gone(str(error), name, "")

    return overview.queue(facts, failed, done)


async def _last_failed(board: Board, name: str) -> list[JobRow]:
    lists = board.store(name).lists
    ids = (await lists.page(JobStatus.FAILED, LAST_FAILED, desc=True)).ids

    return [job_row(board, name, record) for record in await lists.glance(ids) if record is not None]


async def _job(board: Board, place: Place) -> View:
    try:
        facts, explanation = await asyncio.gather(
            job.read(_ask(board, {"id": place.id}, {"queue": place.queue})),
            explain_job(board.store(place.queue), place.id),
        )
    except NotFound as error:
        return story.gone(str(error), place.queue, place.id)

    return story.job(facts, explanation)


async def _failures(board: Board) -> View:
    away: dict[str, ServerError] = {}
    names, now_ms = await asyncio.gather(board.names(), board.now_ms())
    groups = await failures_of(board.connection, names, away)

    return overview.failures(groups, away, now_ms)


async def _workers(board: Board) -> View:
    away: dict[str, ServerError] = {}
    found, names, now_ms = await asyncio.gather(board.workers(), board.names(), board.now_ms())
    runs = await runs_of(board.connection, names, away)
    calls = {record.id: shown_call(board, record) for _, record in runs}

    return overview.workers(found, runs, away, now_ms, calls)
