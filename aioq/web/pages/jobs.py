"""The jobs of one state, page by page; and the search by id or function."""

from __future__ import annotations

import asyncio
import re
from typing import NamedTuple
from urllib.parse import quote

from aioq.store import Directory
from aioq.store.sight import QueueSight
from aioq.values.ids import lookup_id
from aioq.values.record import JobRecord
from aioq.values.states import JobStatus
from aioq.web.page import Ask, Elsewhere, Facts, Page
from aioq.web.rows import JobRow, job_row

#: Jobs on one page, and jobs that a search looks at before it asks whether to go on.
PAGE_JOBS, SEARCHED_JOBS = 50, 500

#: No id has more characters.
LONGEST_ID = 200

#: Jobs that one call brings.
JOBS_PER_CALL = 100

#: A cursor as the store gives it: an entry of a lane, or a place in a sorted set.
_CURSOR = re.compile(r"[a-z]{1,20} \d{1,20}-\d{1,20}|-?\d{1,20}(\.\d{1,6})? \d [\w.@:/+ -]{0,200}", re.ASCII)

#: Waiting jobs come in the order in which they are claimed; of others the last ones come first.
_IN_ORDER = (JobStatus.QUEUED, JobStatus.SCHEDULED, JobStatus.STARTED)


class Place(NamedTuple):
    """Where a page of the list begins: a queue, and a cursor in its list ("": at its beginning)."""

    queue: str
    cursor: str


async def read(ask: Ask) -> Facts:
    """Names, counts, and for each queue that has a part of the page two calls: ids and jobs."""
    board, query = ask.board, ask.query
    state = _state(query.get("state", ""))
    wanted, text = query.get("queue", ""), query.get("q", "").strip()

    if text and (found := await _by_id(ask, text)):
        raise Elsewhere(found)

    (sights, away), now_ms = await asyncio.gather(board.queues(), board.now_ms())
    names = [each.info.name for each in sights if wanted in ("", each.info.name)]
    having = [each.info.name for each in sights if each.info.name in names and each.info.counts[state]]
    rows, more, looked = await _rows(ask, state, having, text)
    counts = {
        each: sum(_number(sight, each) for sight in sights if sight.info.name in names) for each in JobStatus
    }

    return {
        "state": state.value,
        "queue": wanted,
        "text": text,
        "queues": [each.info.name for each in sights],
        "counts": counts,
        "rows": rows,
        "more": more,
        "is_first": not query.get("at"),
        "looked": looked,
        "away": away,
        "now_ms": now_ms,
    }


def _state(given: str) -> JobStatus:
    return JobStatus(given) if given in list(JobStatus) else JobStatus.QUEUED


def _number(sight: QueueSight, state: JobStatus) -> int:
    return sight.info.counts[state]


async def _by_id(ask: Ask, text: str) -> str | None:
    """The path of the job with this id; None if no queue has one."""
    if len(text) > LONGEST_ID or re.search(r"\s", text):
        return None

    queues = (await Directory(ask.board.connection, away={}).holders([lookup_id(text)]))[lookup_id(text)]

    return f"/jobs/{quote(text, safe='')}" if queues else None


async def _rows(ask: Ask, state: JobStatus, names: list[str], text: str) -> tuple[list[JobRow], Place | None, int]:
    """A page of rows, where the next one begins, and how many jobs were looked at."""
    place = _place(ask, names)
    rows: list[JobRow] = []
    left = SEARCHED_JOBS if text else PAGE_JOBS

    while place is not None and left > 0 and len(rows) < PAGE_JOBS:
        lists = ask.board.store(place.queue).lists
        ids, cursor = await lists.page(
            state, min(left, JOBS_PER_CALL), cursor=place.cursor, desc=state not in _IN_ORDER
        )
        left -= len(ids) or 1
        records = [record for record in await lists.glance(ids) if record is not None]
        rows += [job_row(ask.board, place.queue, each) for each in records if _fits(each, text)]
        place = Place(place.queue, cursor) if cursor else _after(place.queue, names)

    return rows, place, (SEARCHED_JOBS if text else PAGE_JOBS) - max(0, left)


def _fits(record: JobRecord, text: str) -> bool:
    """Whether a job is one that is searched for: by its function, its id, or its error."""
    failure = record.failure
    texts = [record.func_name, record.id, failure.line if failure is not None else ""]

    return not text or any(text.lower() in each.lower() for each in texts)


def _place(ask: Ask, names: list[str]) -> Place | None:
    queue, cursor = ask.query.get("at", ""), ask.query.get("cursor", "")

    if queue in names:
        return Place(queue, cursor if _CURSOR.fullmatch(cursor) else "")

    return _after(queue, names)


def _after(queue: str, names: list[str]) -> Place | None:
    return next((Place(each, "") for each in names if each > queue), None)


PAGE = Page("jobs", "/jobs", read, "Jobs")
