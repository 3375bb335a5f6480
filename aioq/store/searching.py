"""Searching: the jobs of one queue that a filter is for, step by step.

A step is a few short calls, in two round trips: one brings the ids of a page of a list, the others say which of
these jobs the filter is for. None takes the server longer than about a millisecond, wherever in whatever list it
is. What narrows the search is used first: ids are looked up, fingerprints and tags have lists of their own, and
only those states are gone through that may have a job. Of jobs that have ended, only those are gone through that
ended in the time that is asked for.
"""

from __future__ import annotations

import hashlib
import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from aioq.store.calls import Calls, verdict_of
from aioq.store.lists import IdPage, read_page
from aioq.store.net.command import Command
from aioq.store.reads import Reads
from aioq.store.reply import text
from aioq.values.errors import InvalidInput
from aioq.values.filter import Filter
from aioq.values.metatext import meta_text
from aioq.values.moments import moment_ms
from aioq.values.options import EXPIRED_TTL_MS
from aioq.values.states import FINAL, JobStatus

#: Jobs of one step.
STEP = 100

#: The most ids of one call; and of a list whose entries the server looks at one by one. Each is about half a
#: millisecond of the server's time, and so are so many jobs that one call matches.
PAGE, LANE_PAGE, MATCHED = 500, 200, 50

#: A call looks at no further job once it has looked at so many bytes of errors.
STEP_BYTES = 512 * 1024

#: The place in a list of ids has fewer digits.
LONGEST_NUMBER = 9

_IN_LANES = (JobStatus.QUEUED, JobStatus.STARTED)


@dataclass(frozen=True, slots=True)
class Progress:
    """Where a search is.

    Args:
        place: the list that it goes through, by its place among all that it is to go through.
        cursor: where in that list the next step begins.
        scanned: how many jobs were looked at.
        matched: how many of them the filter was for.
        total: how many there were to look at when the search began.
        is_over: all lists were gone through.

    """

    place: int = 0
    cursor: bytes = b""
    scanned: int = 0
    matched: int = 0
    total: int = 0
    is_over: bool = False

    def pack(self, filter: Filter) -> str:  # noqa: A002 - what it is
        """The place as a text that users hand back."""
        parts = [self.place, self.cursor.hex(), self.scanned, self.matched, self.total, _digest(filter)]

        return urlsafe_b64encode(json.dumps(parts).encode()).decode()


def read_cursor(cursor: str, filter: Filter) -> Progress:  # noqa: A002 - what it is
    """The place in a text that `Progress.pack` has made.

    Raises:
        InvalidInput: it is none, or that of a search for something else.

    """
    try:
        place, at, scanned, matched, total, digest = json.loads(urlsafe_b64decode(cursor))
        found = Progress(int(place), bytes.fromhex(at), int(scanned), int(matched), int(total))
    except (ValueError, TypeError, RecursionError) as error:
        raise InvalidInput(f"cursor={cursor!r}: it is none that a search has given") from error

    is_number = found.cursor.isdigit() and len(found.cursor) < LONGEST_NUMBER

    if found.place < 0 or (filter.ids and found.cursor and not is_number):
        raise InvalidInput(f"cursor={cursor!r}: it is none that a search has given")

    if digest != _digest(filter):
        raise InvalidInput("cursor: it belongs to a search with another filter")

    return found


class Searching:
    """Searches the jobs of a queue.

    Args:
        calls: the queue's.
        reads: the queue's.

    """

    def __init__(self, calls: Calls, reads: Reads) -> None:
        self._calls = calls
        self._reads = reads

    async def begin(self, filter: Filter) -> Progress:  # noqa: A002 - what it is
        """A search that has looked at nothing, and how many jobs it is to look at."""
        return Progress(total=sum(await self.sizes(filter)))

    async def sizes(self, filter: Filter) -> list[int]:  # noqa: A002 - what it is
        """How many jobs each of the lists has that a search goes through; see `places`."""
        if filter.ids:
            return [len(filter.ids)]

        if filter.fingerprint or filter.tags:
            key = self._calls.keys.alike if filter.fingerprint else self._calls.keys.tag
            name = filter.fingerprint or filter.tags[0]

            return [int(await self._calls.send(("ZCARD", key + name.encode())))]

        counts = await self._reads.count()

        return [counts[state] for state in JobStatus if filter.takes(state)]

    async def step(
        self,
        filter: Filter,  # noqa: A002 - what it is
        progress: Progress,
        room: int = STEP,
    ) -> tuple[list[str], Progress]:
        """The ids that one step finds, at most `room`, and where the search is then.

        Args:
            filter: which jobs it is for.
            progress: where the search is.
            room: the most ids.

        """
        places = self.places(filter)

        if progress.place >= len(places):
            return [], replace(progress, is_over=True)

        size = STEP

        while True:
            page = await self.page(filter, progress.place, progress.cursor, size)
            found = await self.match(filter, page.ids)

            if len(found) <= room:
                break

            # Then the page is asked for again, and ends with the last job that there is room for. So the next step
            # begins right behind it, whatever comes and goes meanwhile.
            fitting = 1 + page.ids.index(found[room - 1])

            if fitting >= size or size == 1:  # jobs that expired in one millisecond come together
                break

            size = min(fitting, size - 1)

        return found, self.moved(filter, progress, page.cursor, len(page.ids), len(found))

    def moved(
        self,
        filter: Filter,  # noqa: A002 - what it is
        progress: Progress,
        cursor: bytes,
        scanned: int,
        matched: int,
    ) -> Progress:
        """Where a search is behind a part of a list; its cursor is empty at the end of the list."""
        place = progress.place + (not cursor)

        return replace(
            progress,
            place=place,
            cursor=cursor,
            scanned=progress.scanned + scanned,
            matched=progress.matched + matched,
            is_over=place >= len(self.places(filter)),
        )

    @staticmethod
    def places(filter: Filter) -> list[str]:  # noqa: A002 - what it is
        """The lists that a search goes through."""
        if filter.ids:
            return ["ids"]

        if filter.fingerprint:
            return [f"fingerprint {filter.fingerprint}"]

        if filter.tags:
            return [f"tag {filter.tags[0]}"]

        return [str(state) for state in JobStatus if filter.takes(state)]

    async def page(
        self,
        filter: Filter,  # noqa: A002 - what it is
        place: int,
        cursor: bytes,
        size: int,
    ) -> IdPage:
        """A part of a list, by one call.

        Args:
            filter: which jobs are searched for.
            place: the list, by its place among all that the search goes through.
            cursor: where in the list it begins.
            size: the most ids, at most `PAGE`. There may be fewer although the list goes on.

        """
        name = self.places(filter)[place]

        if name == "ids":
            at = int(cursor or b"0")

            end = b"%d" % (at + size) if at + size < len(filter.ids) else b""

            return IdPage(list(filter.ids[at : at + size]), end, [])

        if not cursor and filter.before is not None and name in FINAL:
            cursor = b"%d 0 " % moment_ms(filter.before, "before")  # the newest ones come first

        return read_page(
            await self._calls.call(
                "ids",
                state=name,
                cursor=cursor,
                skip=0,
                limit=min(size, LANE_PAGE) if name in _IN_LANES else size,
                page=min(size, LANE_PAGE),
                order="desc",
                before="",
                since=_since(filter) if name in FINAL else "",
                expired_ttl=EXPIRED_TTL_MS,
            )
        )

    async def match(self, filter: Filter, ids: Sequence[str]) -> list[str]:  # noqa: A002 - what it is
        """Those of these jobs that the filter is for, in order, by one round trip.

        There are more of them only where the jobs hold very long errors.
        """
        parts = [ids[at : at + MATCHED] for at in range(0, len(ids), MATCHED)]
        found: set[str] = set()

        while parts:
            replies = await self._calls.connection.calls([self._match_command(filter, part) for part in parts])
            left = []

            for part, reply in zip(parts, replies, strict=True):
                looked, some = _read_match(filter, reply)
                found |= some
                left += [part[looked:]] if looked < len(part) else []

            parts = left

        return [each for each in ids if each in found]

    def _match_command(self, filter: Filter, ids: Sequence[str]) -> Command:  # noqa: A002 - what it is
        fields = [f"meta.{key}" for key, _ in filter.meta]

        return self._calls.command(
            "match", conditions=filter.packed(), most_bytes=STEP_BYTES, count=len(fields), words=[*fields, *ids]
        )


def _read_match(filter: Filter, reply: Any) -> tuple[int, set[str]]:  # noqa: A002 - what it is
    """How many jobs were looked at, and those of them that the filter is for."""
    verdict_of("match", reply)
    flat = iter(reply[2])

    return int(reply[1]), {
        text(job_id)
        for job_id, values in zip(flat, flat, strict=True)
        if all(_is_meta(value, wanted) for value, (_, wanted) in zip(values, filter.meta, strict=False))
    }


def _since(filter: Filter) -> int | str:  # noqa: A002 - what it is
    """From when on jobs of a registry may have ended: a little earlier, since each job is looked at anyway."""
    return "" if filter.after is None else max(0, moment_ms(filter.after, "after") - 1000)


def _is_meta(value: Any, wanted: str) -> bool:
    return value is not None and meta_text(value) == wanted


def _digest(filter: Filter) -> str:  # noqa: A002 - what it is
    return hashlib.sha256(repr(filter).encode()).hexdigest()[:16]
