"""Examination: everything that is stored of a queue, page by page, as subjects that `examine.lua` looks at.

A page is only where to look. What a subject is like is read by the script, together with all that must agree
with it, so producers and workers may go on meanwhile. Nothing is listed as a whole: memory and the time of each
call do not depend on the length of the queue.

A feature that keeps keys of its own registers them here: a key that exists once as a Place, keys that exist for
each job or value as a Family. Its checks are functions in a file of `lua/lib`, which `examine.lua` includes; what
they find is explained in doctor/kinds.py.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any, NamedTuple

from aioq.store.connection import Connection
from aioq.store.keys import Keys
from aioq.store.script import Command
from aioq.values.states import FINAL

#: Subjects of one call: one to two ms of the server's time.
CHUNK = 100

#: What one page asks the server for: keys of its whole database, or members of an index.
PAGE = 500

_DAYS_30 = "2592000000"


class Subject(NamedTuple):
    """One thing to look at: the check of `examine.lua`, what the check needs to know, and a name."""

    check: str
    place: bytes
    name: bytes


class Finding(NamedTuple):
    """What the script has found. kind: a word that stays the same; name: a job, an entry, a worker or a key."""

    kind: str
    name: str
    words: str
    repaired: bool


class Place(NamedTuple):
    """A key that a queue has once.

    Args:
        key: the field of Keys.
        type: its type on the server: stream, zset, hash, list or string.
        life: "lasting" (it has no expiry), "members" (as long as the longest of a registry), the ms that it lives
            at most after the last change, or "" (either way).
        check: the check that each member goes through, or "".
        end: what follows the name.
        own: a further check of the key itself, or "".

    """

    key: str
    type: str
    life: str
    check: str = ""
    end: bytes = b""
    own: str = ""


class Family(NamedTuple):
    """Keys that begin in the same way; what follows is given to the check, if there is one."""

    key: str
    check: str = ""


PLACES = (
    Place("main", "stream", "lasting", "entry"),
    Place("front", "stream", "lasting", "entry"),
    Place("wake", "list", "60000", own="tokens"),
    Place("scheduled", "zset", "lasting", "scheduled"),
    Place("expiring", "zset", "lasting", "deadline"),
    Place("leases", "zset", _DAYS_30, "lease"),
    Place("sessions", "hash", _DAYS_30),
    Place("paused", "string", ""),
    Place("suspended", "string", ""),
    *(Place(state, "zset", "members", "registry") for state in sorted(FINAL)),
    *(Place(state, "zset", "members", "companion", b":until") for state in sorted(FINAL)),
    *(Place(state, "zset", "members", "registry", b":usual") for state in sorted(FINAL)),
)

FAMILIES = (
    Family("job", "job"),
    Family("attempts", "history"),
    Family("gone", "brief"),
    Family("done", "brief"),
    Family("damaged"),
)


class Examination:
    """The subjects of one queue, in an order in which a repair leaves nothing behind.

    Args:
        connection: the server.
        keys: the queue's.

    """

    def __init__(self, connection: Connection, keys: Keys) -> None:
        self._call, self._calls = connection.call, connection.calls
        self._base = keys.job.removesuffix(b"job:")
        self._families = {getattr(keys, each.key): each.check for each in FAMILIES}
        self._places = {getattr(keys, each.key) + each.end: each for each in PLACES}

    def types(self) -> list[Subject]:
        """The keys with their types. While one is wrong, the scripts of this queue fail, this one among them."""
        return [Subject("type", each.type.encode(), key) for key, each in self._places.items()]

    async def pages(self) -> AsyncIterator[list[Subject]]:
        """All other subjects."""
        async for names in scan(self._call, ("SCAN",), "MATCH", self._base + b"*"):
            yield [subject for name in names for subject in self._of_key(name)]

        for key, place in self._places.items():
            if place.type == "zset":
                async for rows in scan(self._call, ("ZSCAN", key)):
                    yield [Subject(place.check, key, member) for member in rows[::2]]
            elif place.type == "stream":
                async for page in self._lane(key, place):
                    yield page

        # Last: how long a registry lives depends on its members, which may have been repaired by now.
        yield [Subject("life", each.life.encode(), key) for key, each in self._places.items() if each.life]
        yield [Subject(each.own, b"", key) for key, each in self._places.items() if each.own]

    def _of_key(self, key: bytes) -> Iterator[Subject]:
        for beginning, check in self._families.items():
            if key.startswith(beginning):
                if check:
                    yield Subject(check, beginning, key[len(beginning) :])
                return

        if key not in self._places:
            yield Subject("unknown", b"", key)

    async def _lane(self, lane: bytes, place: Place) -> AsyncIterator[list[Subject]]:
        async for rows in self._range(("XRANGE", lane)):
            yield [Subject(place.check, lane, row[0]) for row in rows]

        # XINFO and XPENDING fail where there is no group; a lane may have none until the next claim.
        is_there = await self._call(("EXISTS", lane))
        groups = await self._call(("XINFO", "GROUPS", lane)) if is_there else []

        if not any(group[1] == b"workers" for group in groups):
            return

        async for rows in self._range(("XPENDING", lane, "workers"), count=()):
            yield [Subject("pending", lane, row[0]) for row in rows]

        consumers = await self._call(("XINFO", "CONSUMERS", lane, "workers"))
        yield [Subject("consumer", lane, row[1]) for row in consumers]

    async def _range(self, command: Command, count: Command = ("COUNT",)) -> AsyncIterator[list[Any]]:
        start: bytes = b"-"

        while True:
            rows = await self._call((*command, start, "+", *count, PAGE))

            if rows:
                yield rows

            if len(rows) < PAGE:
                return

            start = b"(" + rows[-1][0]


async def scan(
    call: Callable[[Command], Awaitable[Any]], command: Command, *options: Any
) -> AsyncIterator[list[bytes]]:
    """Pages of SCAN or ZSCAN. What is there all the time is in one of them, perhaps in two."""
    cursor = b"0"

    while True:
        cursor, found = await call((*command, cursor, *options, "COUNT", PAGE))

        if found:
            yield found

        if cursor == b"0":
            return


def read_findings(reply: Any) -> list[Finding]:
    """The findings in a reply."""
    return [Finding(kind.decode(), _text(name), _text(words), done == 1) for kind, name, words, done in reply[1]]


def _text(value: bytes) -> str:
    return value.decode(errors="backslashreplace")
