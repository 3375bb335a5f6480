"""Vandal: writes anything into anything that a server holds, the same for the same seed."""

from __future__ import annotations

import random
from collections.abc import Callable

import redis

#: Values that are worse than random bytes where a number, a name or an entry is expected.
NASTY = [
    *(
        b"",
        b"\x00",
        b"-1",
        b"0",
        b"1",
        b"1e400",
        b"nan",
        b"inf",
        b"-inf",
        b"0x10",
        b"9" * 19,
        b"9" * 400,
        b" 5",
        b"1.5",
    ),
    *(
        b"\xff\xfe",
        b"a b",
        b"a\nb",
        b"front/",
        b"front/1-1",
        b"1-1",
        b"9" * 30 + b"-1",
        b"0-0",
        b"[" * 3000,
        b"{}",
        b"null",
    ),
    *(
        b"queued",
        b"started",
        b"finished",
        b"failed",
        b"deleted",
        b"p",
        b"j",
        b"s",
        b"pickle",
        b"s" * 17,
        b"%s%n",
        b"*",
    ),
]


class Vandal:
    """Damages a server.

    Args:
        client: a bare client, for bytes.
        seed: of its choices.

    """

    def __init__(self, client: redis.Redis, seed: int) -> None:
        self.client = client
        self.random = random.Random(seed)

    def junk(self) -> bytes:
        if self.random.random() < 0.6:
            return self.random.choice(NASTY)

        return self.random.randbytes(self.random.choice((1, 5, 30, 200)))

    def score(self) -> float:
        return self.random.choice(
            (float("inf"), float("-inf"), 0, -1, 1e300, 5, 1.7e12, self.random.random() * 4e12)
        )

    def every_field(self, share: float = 1.0) -> None:
        """Overwrite fields, members and entries; every key keeps its type.

        The number of the format is left alone: a higher one says that a newer aioq has written all this, and who
        cannot know its format rightly refuses.
        """
        for key in sorted(self.client.scan_iter(count=1000)):
            if not key.endswith(b":format") and self.random.random() < share:
                self._damage(key)

    def _damage(self, key: bytes) -> None:
        kind = self.client.type(key)

        if kind == b"hash":
            for field in sorted(self.client.hgetall(key)):
                choice = self.random.random()

                if choice < 0.5:
                    self.client.hset(key, field, self.junk())
                elif choice < 0.6:
                    self.client.hdel(key, field)

            self.client.hset(key, self.junk(), self.junk())
        elif kind == b"zset":
            for _ in range(5):
                self.client.zadd(key, {self.junk(): self.score()})

            for member, _ in self.client.zrange(key, 0, 3, withscores=True):
                self.client.zadd(key, {member: self.score()})
        elif kind == b"set":
            self.client.sadd(key, *(self.junk() for _ in range(5)))
        elif kind == b"list":
            self.client.rpush(key, *(self.junk() for _ in range(3)))
            self.client.lset(key, 0, self.junk())
        elif kind == b"stream":
            for _ in range(5):
                self.client.xadd(key, {self.junk(): self.junk(), self.junk() + b"x": self.junk()})

            self.client.xadd(key, {b"id": self.junk()})
        elif kind == b"string":
            self.client.set(key, self.junk())

    def every_type(self, share: float = 0.5, spare: Callable[[bytes], bool] = lambda _: False) -> None:
        """Put values of other types in the place of keys."""
        for key in sorted(self.client.scan_iter(count=1000)):
            if self.random.random() < share and not spare(key):
                kind = self.client.type(key)
                self.client.delete(key)
                self._make(key, self.random.choice([each for each in _KINDS if each != kind]))

    def _make(self, key: bytes, kind: bytes) -> None:
        value = self.junk()

        if kind == b"hash":
            self.client.hset(key, value, self.junk())
        elif kind == b"zset":
            self.client.zadd(key, {value: self.score()})
        elif kind == b"set":
            self.client.sadd(key, value)
        elif kind == b"list":
            self.client.rpush(key, value)
        elif kind == b"stream":
            self.client.xadd(key, {value: self.junk()})
        else:
            self.client.set(key, value)

    def plant(self, trap: bytes) -> None:
        """Put one value wherever bytes are: in each field, member and entry that is not an address."""
        for key in sorted(self.client.scan_iter(count=1000)):
            kind = self.client.type(key)

            if kind == b"hash":
                for field in self.client.hgetall(key):
                    if field not in (b"status", b"entry", b"fence", b"func", b"worker"):
                        self.client.hset(key, field, trap)
            elif kind == b"list" and b":attempts:" in key:
                self.client.lset(key, 0, trap)


_KINDS = (b"hash", b"zset", b"set", b"list", b"stream", b"string")
