"""All jobs that a filter is for: how many there are, and some of them, before anything is done to them."""

from __future__ import annotations

import asyncio
from typing import cast

from aioq.client.searching import Verb, narrowed
from aioq.values.errors import InvalidInput
from aioq.values.filter import Filter
from aioq.web.asked import frozen, stated
from aioq.web.hunt import ROUNDS, Found, hunt, is_counted, place_of
from aioq.web.page import Ask, Elsewhere, Facts, Page
from aioq.web.rows import job_row

#: What can be done to all of them.
VERBS = ("requeue", "cancel", "delete")

#: How many of the first jobs are shown.
SAMPLE = 5


async def read(ask: Ask) -> Facts:
    """Five round trips: names, how many there are beside the first ids, two rounds of a search, and the jobs."""
    board, query = ask.board, ask.query
    verb, text, wanted = query.get("verb", ""), query.get("q", "").strip(), query.get("queue", "")

    if verb not in VERBS:
        raise InvalidInput(f"verb={verb!r}: expected one of {', '.join(VERBS)}")

    if not text:
        raise Elsewhere("/jobs")

    words = stated(frozen(text, Filter.parse(text)), query.get("state", ""))
    filtered = narrowed(Filter.parse(words), cast("Verb", verb))
    every, now_ms = await asyncio.gather(board.names(), board.now_ms())
    names = [name for name in every if wanted in ("", name)]
    place, most = place_of(query), SAMPLE if is_counted(filtered) else 10**9
    found = await hunt(board, names, filtered, place, rounds=ROUNDS, most=most, shown=SAMPLE)

    if is_counted(filtered):
        found = Found(found.jobs, None, found.total, found.total, found.total)

    return {
        "title": f"{verb.capitalize()} all that fit",
        "verb": verb,
        "text": text,
        "words": words,
        "queue": wanted,
        "found": found,
        "is_first": not place.queue,
        "rows": [job_row(board, name, record) for name, record in found.jobs],
        "now_ms": now_ms,
    }


PAGE = Page("matching", "/matching", read)
