"""The jobs of one state, page by page; and the jobs that a filter is for."""

from __future__ import annotations

import asyncio
import re
from dataclasses import replace
from typing import NamedTuple
from urllib.parse import quote

from aioq.store import Directory
from aioq.values.filter import Filter
from aioq.values.ids import lookup_id
from aioq.values.states import JobStatus, allows
from aioq.web.asked import frozen
from aioq.web.hunt import hunt, place_of
from aioq.web.page import Ask, Elsewhere, Facts, Page
from aioq.web.rows import JobRow, job_row

#: Jobs on one page; with the last step of a search it has some more.
PAGE_JOBS, MOST_SHOWN = 50, 150

#: Jobs that a search looks at before it asks whether to go on.
SEARCHED_JOBS = 2_000

#: No id has more characters.
LONGEST_ID = 200

#: A cursor as the store gives it: an entry of a lane, or a place in a sorted set.
_CURSOR = re.compile(r"[a-z]{1,20} \d{1,20}-\d{1,20}|-?\d{1,20}(\.\d{1,6})? \d [\w.@:/+ -]{0,200}", re.ASCII)

#: What is a condition is no id.
_CONDITION = re.compile(r"(state|fn|tag|error|worker|fingerprint|after|before|meta\.\S+?):")

#: Waiting jobs come in the order in which they are claimed; of others the last ones come first.
_IN_ORDER = (JobStatus.QUEUED, JobStatus.SCHEDULED, JobStatus.STARTED)


class Place(NamedTuple):
    """Where a page of the list begins: a queue, and a cursor in its list ("": at its beginning)."""

    queue: str
    cursor: str


async def read(ask: Ask) -> Facts:
    """Names, counts, and for each queue that has a part of the page two calls: ids and jobs."""
    if text := ask.query.get("q", "").strip():
        return await _searched(ask, text)

    board, query = ask.board, ask.query
    state, wanted = _state(query.get("state", "")), query.get("queue", "")
    (sights, away), now_ms = await asyncio.gather(board.queues(), board.now_ms())
    names = [each.info.name for each in sights if wanted in ("", each.info.name)]
    having = [each.info.name for each in sights if each.info.name in names and each.info.counts[state]]
    rows, more = await _rows(ask, state, having)
    counts = {
        each: sum(sight.info.counts[each] for sight in sights if sight.info.name in names) for each in JobStatus
    }

    return {
        "state": state.value,
        "queue": wanted,
        "text": "",
        "queues": [each.info.name for each in sights],
        "counts": counts,
        "rows": rows,
        "more": more,
        "is_first": not query.get("at"),
        "away": away,
        "now_ms": now_ms,
    }


async def _searched(ask: Ask, text: str) -> Facts:
    """The jobs that a filter is for. Names, how many there are, two calls for each hundred, and the jobs."""
    board, query = ask.board, ask.query
    place, wanted = place_of(query), query.get("queue", "")

    if not place.queue and (found := await _by_id(ask, text)):
        raise Elsewhere(found)

    filtered = _filter(text, query.get("state", ""))
    every, now_ms = await asyncio.gather(board.names(), board.now_ms())
    names = [name for name in every if wanted in ("", name)]
    part = await hunt(board, names, filtered, place, looks=SEARCHED_JOBS, most=PAGE_JOBS, shown=MOST_SHOWN)
    words = frozen(text, filtered)

    return {
        "title": f"Jobs: {text}",
        "state": query.get("state", ""),
        "queue": wanted,
        "text": text,
        "queues": every,
        "rows": [job_row(board, name, record) for name, record in part.jobs],
        "found": part,
        "words": words,
        "verbs": _verbs(filtered),
        "is_first": not place.queue,
        "away": {},
        "now_ms": now_ms,
    }


def _filter(text: str, state: str) -> Filter:
    """What is searched for: of the states that the text names, or of the one of the address."""
    found = Filter.parse(text)

    return replace(found, states=(JobStatus(state),)) if state in list(JobStatus) and not found.states else found


def _verbs(wanted: Filter) -> list[str]:
    """What can be done to all jobs that a filter is for."""
    states = [state for state in JobStatus if wanted.takes(state)]

    return [*(verb for verb in ("requeue", "cancel") if any(allows(state, verb) for state in states)), "delete"]


def _state(given: str) -> JobStatus:
    return JobStatus(given) if given in list(JobStatus) else JobStatus.QUEUED


async def _by_id(ask: Ask, text: str) -> str | None:
    """The path of the job with this id; None if no queue has one."""
    if len(text) > LONGEST_ID or re.search(r"\s", text) or _CONDITION.match(text):
        return None

    queues = (await Directory(ask.board.connection, away={}).holders([lookup_id(text)]))[lookup_id(text)]

    return f"/jobs/{quote(text, safe='')}" if queues else None


async def _rows(ask: Ask, state: JobStatus, names: list[str]) -> tuple[list[JobRow], Place | None]:
    """A page of rows, and where the next one begins."""
    place = _place(ask, names)
    rows: list[JobRow] = []
    left = PAGE_JOBS

    while place is not None and left > 0:
        lists = ask.board.store(place.queue).lists
        ids, cursor = await lists.page(state, left, cursor=place.cursor, desc=state not in _IN_ORDER)
        left -= len(ids) or 1
        records = [record for record in await lists.glance(ids) if record is not None]
        rows += [job_row(ask.board, place.queue, each) for each in records]
        place = Place(place.queue, cursor) if cursor else _after(place.queue, names)

    return rows, place


def _place(ask: Ask, names: list[str]) -> Place | None:
    queue, cursor = ask.query.get("at", ""), ask.query.get("cursor", "")

    if queue in names:
        return Place(queue, cursor if _CURSOR.fullmatch(cursor) else "")

    return _after(queue, names)


def _after(queue: str, names: list[str]) -> Place | None:
    return next((Place(each, "") for each in names if each > queue), None)


PAGE = Page("jobs", "/jobs", read, "Jobs")
