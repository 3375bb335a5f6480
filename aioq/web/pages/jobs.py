"""The jobs of one state, page by page; and the jobs that a filter is for."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping
from dataclasses import replace
from typing import NamedTuple
from urllib.parse import quote

from aioq.store import Directory
from aioq.store.sight import counts_of, glance_at, pages_of
from aioq.values.errors import ServerError
from aioq.values.filter import Filter
from aioq.values.ids import lookup_id
from aioq.values.states import JobStatus, allows
from aioq.web.asked import frozen
from aioq.web.hunt import ROUNDS, hunt, place_of
from aioq.web.page import Ask, Elsewhere, Facts, Page
from aioq.web.rows import JobRow, job_row

#: Jobs on one page; of a search, or of a list where a queue ends, it may have some more.
PAGE_JOBS, MOST_SHOWN = 50, 150

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
    """Four round trips: names, how many jobs there are, the ids of a page, and the jobs."""
    if text := ask.query.get("q", "").strip():
        return await _searched(ask, text)

    board, query = ask.board, ask.query
    state, wanted = _state(query.get("state", "")), query.get("queue", "")
    away: dict[str, ServerError] = {}
    every, now_ms = await asyncio.gather(board.names(), board.now_ms())
    names = [name for name in every if wanted in ("", name)]
    counts = await counts_of(board.connection, names, away)
    rows, more = await _rows(ask, state, {name: each[state] for name, each in counts.items() if each[state]}, away)

    return {
        "state": state.value,
        "queue": wanted,
        "text": "",
        "queues": every,
        "counts": {state: sum(each[state] for each in counts.values()) for state in JobStatus},
        "rows": rows,
        "more": more,
        "is_first": not query.get("at"),
        "away": away,
        "now_ms": now_ms,
    }


async def _searched(ask: Ask, text: str) -> Facts:
    """The jobs that a filter is for. Five round trips: names, first ids, two rounds, and the jobs."""
    board, query = ask.board, ask.query
    place, wanted = place_of(query), query.get("queue", "")
    filtered = _filter(text, query.get("state", ""))
    every, now_ms = await asyncio.gather(board.names(), board.now_ms())
    names = [name for name in every if wanted in ("", name)]
    found, part = await asyncio.gather(
        _by_id(ask, "" if place.queue else text, every),
        hunt(board, names, filtered, place, rounds=ROUNDS, most=PAGE_JOBS, shown=MOST_SHOWN),
    )

    if found:
        raise Elsewhere(found)

    return {
        "title": f"Jobs: {text}",
        "state": query.get("state", ""),
        "queue": wanted,
        "text": text,
        "queues": every,
        "rows": [job_row(board, name, record) for name, record in part.jobs],
        "found": part,
        "words": frozen(text, filtered),
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


async def _by_id(ask: Ask, text: str, names: list[str]) -> str | None:
    """The path of the job with this id; None if no queue has one."""
    if not text or len(text) > LONGEST_ID or re.search(r"\s", text) or _CONDITION.match(text):
        return None

    job_id = lookup_id(text)
    queues = (await Directory(ask.board.connection, away={}).holders([job_id], names))[job_id]

    return f"/jobs/{quote(text, safe='')}" if queues else None


async def _rows(
    ask: Ask, state: JobStatus, counts: Mapping[str, int], away: dict[str, ServerError]
) -> tuple[list[JobRow], Place | None]:
    """A page of rows, and where the next one begins. counts: the jobs of the state, by queue, in order."""
    board, names = ask.board, list(counts)
    place = _place(ask, names)
    asked: dict[str, tuple[int, str]] = {}
    left = PAGE_JOBS

    while place is not None and left > 0:
        asked[place.queue] = left, place.cursor
        # How many jobs come behind a cursor is not known. So a page may be longer, and needs one round trip.
        left -= counts[place.queue] if not place.cursor else 0
        place = _after(place.queue, names)

    pages = await pages_of(board.connection, state, asked, away, desc=state not in _IN_ORDER)
    ids: dict[str, list[str]] = {}

    for name, page in pages.items():
        ids[name] = page.ids

        if page.cursor:
            place = Place(name, page.cursor.decode(errors="backslashreplace"))
            break

        if sum(map(len, ids.values())) >= PAGE_JOBS:
            place = _after(name, names)
            break

    found = await glance_at(board.connection, ids, away)

    return [job_row(board, name, record) for name, record in found], place


def _place(ask: Ask, names: list[str]) -> Place | None:
    queue, cursor = ask.query.get("at", ""), ask.query.get("cursor", "")

    if queue in names:
        return Place(queue, cursor if _CURSOR.fullmatch(cursor) else "")

    return _after(queue, names)


def _after(queue: str, names: list[str]) -> Place | None:
    return next((Place(each, "") for each in names if each > queue), None)


PAGE = Page("jobs", "/jobs", read, "Jobs")
