"""Examination: everything that is stored of a queue, page by page, as subjects that `examine.lua` looks at.

A page is only where to look. What a subject is like is read by the script, together with all that must agree
with it, so producers and workers may go on meanwhile. Nothing is listed as a whole: memory and the time of each
call do not depend on the length of the queue. Nothing here talks to a server: what is needed is yielded as a
command, so that whoever examines many queues can ask for all of them in one round trip.

A feature that keeps keys of its own registers them here: a key that exists once as a Place, keys that exist for
each job or value as a Family. Its checks are functions in a file of `lua/checks`, which `examine.lua` needs; what
they find is explained in doctor/kinds.py.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Generator
from functools import cache
from typing import Any, NamedTuple

from aioq.store.calls import verdict_of
from aioq.store.keys import LANES, RARE_LANES, Keys
from aioq.store.net.command import Command
from aioq.values.audit import ENTRIES_MS
from aioq.values.states import KEPT_MS

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
    *(
        Place(lane, "stream", "lasting", "entry", own="announced" if lane in RARE_LANES else "")
        for lane in reversed(LANES)
    ),
    Place("lanes", "hash", "lasting"),
    Place("wake", "list", "60000", own="tokens"),
    Place("scheduled", "zset", "lasting", "scheduled"),
    Place("deferred", "zset", "lasting", "deferred"),
    Place("deferred", "zset", "lasting", "deferred_deadline", b":until", "announced"),
    Place("undecided", "zset", "lasting"),
    Place("outbox", "zset", "lasting", "outbox"),
    Place("sources", "set", "lasting"),
    Place("groups", "zset", "", "listed_group"),
    Place("fingerprints", "zset", "", "fingerprinted"),
    Place("tags", "zset", "", "listed_tag"),
    Place("expiring", "zset", "lasting", "deadline"),
    Place("leases", "zset", _DAYS_30, "lease"),
    Place("sessions", "hash", _DAYS_30),
    Place("paused", "string", ""),
    Place("suspended", "string", ""),
    Place("format", "string", "lasting"),
    Place("retry_budget", "hash", "lasting", own="budget"),
    Place("departed", "zset", _DAYS_30),
    Place("audit", "zset", str(ENTRIES_MS)),
    *(Place(state, "zset", "members", "registry") for state in KEPT_MS),
    *(Place(state, "zset", "members", "companion", b":until") for state in KEPT_MS),
    *(Place(state, "zset", "members", "registry", b":usual") for state in KEPT_MS),
)

FAMILIES = (
    Family("job", "job"),
    Family("attempts", "history"),
    Family("gone", "brief"),
    Family("done", "brief"),
    Family("open", "open"),
    Family("dependents", "dependents"),
    Family("ended_by", "ended_by"),
    Family("children", "children"),
    Family("group", "group"),
    Family("members", "group_part"),
    Family("over", "group_part"),
    Family("sequel", "group_part"),
    Family("minutes", "page"),
    Family("hours", "page"),
    Family("tallied", "brief"),
    Family("fingerprint", "fingerprint"),
    Family("alike", "alike"),
    Family("tag", "tag"),
    Family("damaged"),
)


#: What an examination wants next: the reply to a command, or that subjects are looked at.
Step = Command | list[Subject]


class Examination:
    """The subjects of one queue, in an order in which a repair leaves nothing behind: types, keys, members.

    Args:
        keys: the queue's.

    """

    __slots__ = ("base",)

    def __init__(self, keys: Keys) -> None:
        self.base: bytes = keys.job.removesuffix(b"job:")  # how all keys of the queue begin

    def types(self) -> list[Subject]:
        """The keys with their types. While one is wrong, the scripts of this queue fail, this one among them."""
        return [Subject("type", place.type.encode(), self.base + end) for end, place in _places().items()]

    def of_key(self, key: bytes) -> Subject | None:
        """What a key of the queue is to be looked at for. Nothing for one whose members are."""
        end = key[len(self.base) :]

        for beginning, check in _families().items():
            if end.startswith(beginning):
                return Subject(check, self.base + beginning, end[len(beginning) :]) if check else None

        return None if end in _places() else Subject("unknown", b"", key)

    def is_place(self, key: bytes) -> bool:
        """Whether it is a key that a queue has once."""
        return key[len(self.base) :] in _places()

    def members(self, keys: Collection[bytes] | None = None) -> Generator[Step, Any, None]:
        """All that stands in the keys that a queue has once, and last these keys themselves.

        Args:
            keys: only those of these (None: all).

        """
        places = {self.base + end: place for end, place in _places().items()}
        places = {key: place for key, place in places.items() if keys is None or key in keys}

        for key, place in places.items():
            if place.type == "zset" and place.check:
                yield from _zset(key, place)
            elif place.type == "stream":
                yield from _lane(key, place)

        # Last: how long a registry lives depends on its members, which may have been repaired by now.
        yield [Subject("life", each.life.encode(), key) for key, each in places.items() if each.life]
        yield [Subject(each.own, b"", key) for key, each in places.items() if each.own]


@cache
def _places() -> dict[bytes, Place]:
    """The places, by the end of their key."""
    keys = Keys.of("")
    beginning = len(keys.job.removesuffix(b"job:"))

    return {(keys[each.key] + each.end)[beginning:]: each for each in PLACES}


@cache
def _families() -> dict[bytes, str]:
    """The checks of the families, by how the end of their key begins."""
    keys = Keys.of("")
    beginning = len(keys.job.removesuffix(b"job:"))

    return {keys[each.key][beginning:]: each.check for each in FAMILIES}


def _zset(key: bytes, place: Place) -> Generator[Step, Any, None]:
    cursor = b"0"

    while True:
        cursor, rows = yield ("ZSCAN", key, cursor, "COUNT", PAGE)

        if rows:
            yield [Subject(place.check, key, member) for member in rows[::2]]

        if cursor == b"0":
            return


def _lane(lane: bytes, place: Place) -> Generator[Step, Any, None]:
    yield from _range(("XRANGE", lane), ("COUNT",), place.check, lane)
    # XINFO and XPENDING fail where there is no group; a lane may have none until the next claim.
    is_there = yield ("EXISTS", lane)
    groups = (yield ("XINFO", "GROUPS", lane)) if is_there else []

    if not any(group[1] == b"workers" for group in groups):
        return

    yield from _range(("XPENDING", lane, "workers"), (), "pending", lane)
    consumers = yield ("XINFO", "CONSUMERS", lane, "workers")
    yield [Subject("consumer", lane, row[1]) for row in consumers]


def _range(command: Command, count: Command, check: str, lane: bytes) -> Generator[Step, Any, None]:
    start: bytes = b"-"

    while True:
        rows = yield (*command, start, "+", *count, PAGE)

        if rows:
            yield [Subject(check, lane, row[0]) for row in rows]

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
    verdict_of("examine", reply)

    return [Finding(kind.decode(), _text(name), _text(words), done == 1) for kind, name, words, done in reply[1]]


def _text(value: bytes) -> str:
    return value.decode(errors="backslashreplace")
