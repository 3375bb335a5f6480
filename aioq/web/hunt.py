"""Hunt: a search through the queues that a page shows, step by step. An address says how far it has come."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

from aioq.store.searching import Progress, read_cursor
from aioq.values.filter import Filter
from aioq.values.record import JobRecord
from aioq.web.board import Board

#: No number of jobs has so many digits.
LONGEST_NUMBER = 12


class Place(NamedTuple):
    """How far a search has come.

    Args:
        queue: the queue that it goes through; "": none yet.
        cursor: where in it the next step begins; "": at its beginning.
        matched: how many jobs it has found in the queues before.

    """

    queue: str = ""
    cursor: str = ""
    matched: int = 0


class Found(NamedTuple):
    """What a part of a search has found.

    Args:
        jobs: those of this part, each with its queue.
        place: where the next part begins; None: the search is over.
        scanned: how many jobs were looked at, with all parts before.
        matched: how many of them the filter was for; exact when the search is over.
        total: how many there are to look at.

    """

    jobs: list[tuple[str, JobRecord]]
    place: Place | None
    scanned: int
    matched: int
    total: int


def place_of(query: Mapping[str, str]) -> Place:
    """The place that an address says."""
    found = query.get("found", "")
    is_number = found.isascii() and found.isdecimal() and len(found) < LONGEST_NUMBER

    return Place(query.get("at", ""), query.get("cursor", ""), int(found) if is_number else 0)


async def hunt(
    board: Board, names: Sequence[str], wanted: Filter, place: Place, *, looks: int, most: int, shown: int
) -> Found:
    """Look for jobs: one call for how many there are, and two for each hundred that are looked at.

    Args:
        board: the server.
        names: the queues, in order.
        wanted: the filter.
        place: where it begins.
        looks: about how many jobs are looked at.
        most: when so many are found, it ends; the last step may find some more.
        shown: how many of them are brought.

    Raises:
        InvalidInput: the place belongs to a search for something else.

    """
    begun = await asyncio.gather(*(board.store(name).searching.begin(wanted) for name in names))
    todo = [(name, each) for name, each in zip(names, begun, strict=True) if name >= place.queue]
    before = sum(each.total for name, each in zip(names, begun, strict=True) if name < place.queue)
    matched, looked, found = place.matched, 0, list[tuple[str, str]]()
    following: Place | None = None

    for name, first in todo:
        progress = (
            read_cursor(place.cursor, wanted) if (name, bool(place.cursor)) == (place.queue, True) else first
        )
        progress = replace(progress, is_over=progress.is_over or not first.total)
        start = progress

        while not progress.is_over and looked + progress.scanned - start.scanned < looks and len(found) < most:
            ids, progress = await board.store(name).searching.step(wanted, progress)
            found += [(name, job_id) for job_id in ids]

        looked += progress.scanned - start.scanned

        if not progress.is_over:
            following = _place(name, progress, wanted, matched)
            matched += progress.matched
            before += progress.scanned

            break

        matched += progress.matched
        before += max(first.total, progress.scanned)

    total = max(before, sum(each.total for each in begun))

    return Found(await _glanced(board, found[:shown]), following, before, matched, total)


def is_counted(wanted: Filter) -> bool:
    """Whether the server knows how many jobs the filter is for, so that nobody has to look at them."""
    alone = Filter(fingerprint=wanted.fingerprint) if wanted.fingerprint else Filter(states=wanted.states)

    return wanted != Filter() and wanted in (alone, replace(alone, states=wanted.states))


async def _glanced(board: Board, found: Sequence[tuple[str, str]]) -> list[tuple[str, JobRecord]]:
    """What lists show of these jobs; those that are there still."""
    names = list(dict.fromkeys(name for name, _ in found))
    ids = [[job_id for name, job_id in found if name == each] for each in names]
    records = await asyncio.gather(
        *(board.store(name).lists.glance(some) for name, some in zip(names, ids, strict=True))
    )

    return [
        (name, record) for name, some in zip(names, records, strict=True) for record in some if record is not None
    ]


def _place(name: str, progress: Progress, wanted: Filter, matched: int) -> Place:
    return Place(name, progress.pack(wanted), matched)
