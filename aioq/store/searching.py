"""Searching: the jobs of one queue that a filter is for, step by step.

A step is two short calls: one brings the ids of a page of a list, the other says which of these jobs the filter is
for. So no step takes the server longer than about a millisecond, wherever in whatever list it is. What narrows the
search is used first: ids are looked up, fingerprints and tags have lists of their own, and only those states are
gone through that may have a job.
"""

from __future__ import annotations

import hashlib
import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from aioq.store.calls import Calls
from aioq.store.reads import Reads
from aioq.store.reply import text
from aioq.values.errors import InvalidInput
from aioq.values.filter import Filter
from aioq.values.metatext import meta_text
from aioq.values.moments import moment_ms
from aioq.values.options import EXPIRED_TTL_MS
from aioq.values.states import FINAL, JobStatus

#: Jobs of one step: less than a millisecond of the server's time.
STEP = 100

#: A step looks at no further job once it has looked at so many bytes of errors.
STEP_BYTES = 256 * 1024


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
        if filter.ids:
            return Progress(total=len(filter.ids))

        if filter.fingerprint or filter.tags:
            key = self._calls.keys.alike if filter.fingerprint else self._calls.keys.tag
            name = filter.fingerprint or filter.tags[0]

            return Progress(total=int(await self._calls.send(("ZCARD", key + name.encode()))))

        counts = await self._reads.count()

        return Progress(total=sum(counts[state] for state in JobStatus if filter.takes(state)))

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
        places = self._places(filter)

        if progress.place >= len(places):
            return [], replace(progress, is_over=True)

        place, size = places[progress.place], STEP

        while True:
            ids, cursor = await self._page(filter, place, progress.cursor, size)
            found, looked, last_at = await self._match(filter, ids)

            if len(found) <= room and looked == len(ids):
                break

            # Then the page is asked for again, and ends with the last job that there is room for, or that was
            # looked at. So the next step begins right behind it, whatever comes and goes meanwhile.
            fitting = 1 + ids.index(found[room - 1]) if len(found) > room else looked

            if fitting >= size or size == 1:  # jobs that expired in one millisecond come together
                break

            size = min(fitting, size - 1)

        is_end = not cursor or self._is_beyond(filter, place, last_at)
        moved = replace(
            progress,
            place=progress.place + is_end,
            cursor=b"" if is_end else cursor,
            scanned=progress.scanned + len(ids),
            matched=progress.matched + len(found),
        )

        return found, replace(moved, is_over=moved.place >= len(places))

    def _places(self, filter: Filter) -> list[str]:  # noqa: A002 - what it is
        """The lists to go through."""
        if filter.ids:
            return ["ids"]

        if filter.fingerprint:
            return [f"fingerprint {filter.fingerprint}"]

        if filter.tags:
            return [f"tag {filter.tags[0]}"]

        return [str(state) for state in JobStatus if filter.takes(state)]

    async def _page(
        self,
        filter: Filter,  # noqa: A002 - what it is
        place: str,
        cursor: bytes,
        size: int,
    ) -> tuple[list[str], bytes]:
        if place == "ids":
            at = int(cursor or b"0")
            ids = list(filter.ids[at : at + size])

            return ids, b"%d" % (at + size) if at + size < len(filter.ids) else b""

        if not cursor and filter.before is not None and place in FINAL:
            cursor = b"%d 0 " % moment_ms(filter.before, "before")  # the newest ones come first

        reply = await self._calls.call(
            "ids",
            state=place,
            cursor=cursor,
            skip=0,
            limit=size,
            page=size,
            order="desc",
            before="",
            expired_ttl=EXPIRED_TTL_MS,
        )

        return [text(each) for each in reply[1]], reply[3]

    async def _match(self, filter: Filter, ids: Sequence[str]) -> tuple[list[str], int, int]:  # noqa: A002 - what it is
        """Those of these jobs that the filter is for; how many were looked at; the moment of the last of them."""
        if not ids:
            return [], 0, 0

        fields = [f"meta.{key}" for key, _ in filter.meta]
        reply = await self._calls.call(
            "match", conditions=filter.packed(), most_bytes=STEP_BYTES, count=len(fields), words=[*fields, *ids]
        )
        flat = iter(reply[3])
        found = [
            text(job_id)
            for job_id, values in zip(flat, flat, strict=True)
            if all(_is_meta(value, wanted) for value, (_, wanted) in zip(values, filter.meta, strict=False))
        ]

        return found, int(reply[1]), int(reply[2])

    def _is_beyond(self, filter: Filter, place: str, last_at: int) -> bool:  # noqa: A002 - what it is
        """Whether all that follows in a list ended before the jobs that are wanted."""
        return (
            filter.after is not None and place in FINAL and 0 < last_at < moment_ms(filter.after, "after") - 1000
        )


def _is_meta(value: Any, wanted: str) -> bool:
    return value is not None and meta_text(value) == wanted


def _digest(filter: Filter) -> str:  # noqa: A002 - what it is
    return hashlib.sha256(repr(filter).encode()).hexdigest()[:16]
