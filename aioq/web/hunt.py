"""Hunt: a search through the queues that a page shows, step by step. An address says how far it has come.

A step asks for the ids of some hundreds of jobs, and for the next ones while these are matched. So the first step
makes two round trips, and each other one makes one.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

from aioq.store.lists import IdPage
from aioq.store.searching import PAGE, Progress, Searching, read_cursor
from aioq.store.sight import glance_at
from aioq.values.errors import ServerError
from aioq.values.filter import Filter
from aioq.values.record import JobRecord
from aioq.values.states import FINAL
from aioq.web.board import Board

#: No number of jobs has so many digits.
LONGEST_NUMBER = 12

#: Rounds for one page: with the names, the first ids and what is shown of jobs, these are five round trips. None
#: begins after so many seconds.
ROUNDS, LONGEST_S = 2, 0.1

#: The most lists whose ids are asked for at once, and ids of a list that nearly all are wanted of.
MOST_LISTS, SURE_JOBS = 50, 50


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
    board: Board, names: Sequence[str], wanted: Filter, place: Place, *, rounds: int, most: int, shown: int
) -> Found:
    """Look for jobs, by one round trip for the first ids, one for each round, and one for what lists show of jobs.

    Args:
        board: the server.
        names: the queues, in order.
        wanted: the filter.
        place: where it begins.
        rounds: how often some hundreds of jobs are looked at, at most; meanwhile the next ids are asked for.
        most: when so many are found, it ends; there may be some more.
        shown: how many of them are brought.

    Raises:
        InvalidInput: the place belongs to a search for something else.

    """
    search, deadline = _Search(board, names, wanted, place), time.monotonic() + LONGEST_S
    pages, _ = await asyncio.gather(search.first(), search.count())
    left = rounds

    while True:
        left -= 1
        is_last = not left or time.monotonic() > deadline or search.has_enough(pages, most)
        following = [] if is_last else search.following(pages)
        matches, then = await asyncio.gather(search.match(pages), search.ask(following))

        if not search.accept(pages, matches, most) or not then:
            break

        pages = then

    return await search.told(shown)


class _Spot(NamedTuple):
    """A place in a list: the queue and the list by their numbers, and a cursor."""

    queue: int
    list: int
    cursor: bytes


class _Search:
    """A search while it goes on. Arguments as for `hunt`."""

    def __init__(self, board: Board, names: Sequence[str], wanted: Filter, place: Place) -> None:
        self._board = board
        self._wanted = wanted
        self._names = names
        self._lists = len(Searching.places(wanted))
        self._sizes: list[list[int]] = []
        self._found: list[tuple[str, str]] = []
        self._at = sum(name < place.queue for name in names)  # the queue that it is in
        self._progress = Progress()
        self._matched = place.matched  # in the queues before
        self._size = SURE_JOBS if _is_sure(wanted) else PAGE

        if place.cursor and self._at < len(names) and names[self._at] == place.queue:
            self._progress = read_cursor(place.cursor, wanted)

    async def count(self) -> None:
        """Ask how many jobs there are to look at."""
        self._sizes = await asyncio.gather(
            *(self._searching(at).sizes(self._wanted) for at in range(len(self._names)))
        )

    async def first(self) -> list[tuple[_Spot, IdPage]]:
        """The ids at the place where it begins."""
        here = _Spot(self._at, self._progress.place, self._progress.cursor)

        return await self.ask([here] if here.queue < len(self._names) and here.list < self._lists else [])

    async def ask(self, spots: Sequence[_Spot]) -> list[tuple[_Spot, IdPage]]:
        """The ids at these places, up to the first list that goes on behind them."""
        pages = await asyncio.gather(
            *(self._searching(each.queue).page(self._wanted, each.list, each.cursor, self._size) for each in spots)
        )
        last = next((at for at, page in enumerate(pages) if page.cursor), len(pages))

        return list(zip(spots, pages, strict=True))[: last + 1]

    def following(self, pages: Sequence[tuple[_Spot, IdPage]]) -> list[_Spot]:
        """Where the next ids are, if nothing ends before: the rest of the last list, and short lists behind it."""
        spot, page = pages[-1] if pages else (_Spot(self._at, self._progress.place - 1, b""), IdPage([], b"", []))

        if page.cursor:
            return [spot._replace(cursor=page.cursor)]

        spots: list[_Spot] = []
        room = self._size

        for queue in range(spot.queue, len(self._names)):
            for at in range(spot.list + 1 if queue == spot.queue else 0, self._lists):
                size = self._sizes[queue][at]

                if size and (room <= 0 or len(spots) >= MOST_LISTS):
                    return spots

                spots += [_Spot(queue, at, b"")] if size else []
                room -= size

        return spots

    def has_enough(self, pages: Sequence[tuple[_Spot, IdPage]], most: int) -> bool:
        """Whether no further ids are needed, since the filter is for all of these jobs."""
        return _is_sure(self._wanted) and len(self._found) + sum(len(page.ids) for _, page in pages) >= most

    async def match(self, pages: Sequence[tuple[_Spot, IdPage]]) -> list[set[str]]:
        """Which of these jobs the filter is for."""
        found = await asyncio.gather(
            *(self._searching(spot.queue).match(self._wanted, page.ids) for spot, page in pages)
        )

        return [set(each) for each in found]

    def accept(self, pages: Sequence[tuple[_Spot, IdPage]], matches: Sequence[set[str]], most: int) -> bool:
        """Go on behind these pages, in order. False: enough is found; what follows is for the next time."""
        for (spot, page), matching in zip(pages, matches, strict=True):
            self._go_to(spot)
            begun = 0

            for end, cursor in [
                *(each for each in page.marks if each[0] < len(page.ids)),
                (len(page.ids), page.cursor),
            ]:
                some = [each for each in page.ids[begun:end] if each in matching]
                self._found += [(self._names[spot.queue], each) for each in some]
                self._progress = self._searching(spot.queue).moved(
                    self._wanted, self._progress, cursor, end - begun, len(some)
                )
                begun = end

                if len(self._found) >= most:
                    return False

        return True

    async def told(self, shown: int) -> Found:
        """What it has found, and where the next part begins."""
        self._pass_empty()
        ends = [max(0, sum(sizes)) for sizes in self._sizes]
        is_over = self._at >= len(self._names)
        scanned = sum(ends[: self._at]) + (0 if is_over else self._progress.scanned)
        place = None if is_over else Place(self._names[self._at], self._progress.pack(self._wanted), self._matched)
        matched = self._matched + (0 if is_over else self._progress.matched)
        total = max(scanned, sum(ends))

        return Found(await _glanced(self._board, self._found[:shown]), place, scanned, matched, total)

    def _pass_empty(self) -> None:
        """Go to the next list that has jobs, or to the end."""
        while self._at < len(self._names):
            if self._progress.place >= self._lists:
                self._leave()
            elif self._progress.cursor or self._sizes[self._at][self._progress.place]:
                return
            else:
                self._progress = replace(self._progress, place=self._progress.place + 1)

    def _go_to(self, spot: _Spot) -> None:
        """Go to a list; all before it are over."""
        while self._at < spot.queue:
            self._leave()

        self._progress = replace(self._progress, place=spot.list)

    def _leave(self) -> None:
        """Go to the next queue."""
        self._matched += self._progress.matched
        self._at, self._progress = self._at + 1, Progress()

    def _searching(self, at: int) -> Searching:
        return self._board.store(self._names[at]).searching


def _is_sure(wanted: Filter) -> bool:
    """Whether nearly all jobs of the lists that it goes through are wanted."""
    plain = Filter(
        ids=wanted.ids, states=wanted.states, tags=wanted.tags[:1], fingerprint=wanted.fingerprint,
        after=wanted.after, before=wanted.before,
    )  # fmt: skip
    is_timed = wanted.after is not None or wanted.before is not None
    has_end = bool(wanted.states) and all(state in FINAL for state in wanted.states)

    return wanted == plain and (has_end or not is_timed)


def is_counted(wanted: Filter) -> bool:
    """Whether the server knows how many jobs the filter is for, so that nobody has to look at them."""
    alone = Filter(fingerprint=wanted.fingerprint) if wanted.fingerprint else Filter(states=wanted.states)

    return wanted != Filter() and wanted in (alone, replace(alone, states=wanted.states))


async def _glanced(board: Board, found: Sequence[tuple[str, str]]) -> list[tuple[str, JobRecord]]:
    """What lists show of these jobs; those that are there still."""
    ids: dict[str, list[str]] = {}
    away: dict[str, ServerError] = {}

    for name, job_id in found:
        ids.setdefault(name, []).append(job_id)

    shown = await glance_at(board.connection, ids, away)

    for error in away.values():
        raise error

    return shown
