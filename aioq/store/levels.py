"""Levels: how a level of durability is reached, on the disk of a server or in the memory of another one."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

from aioq.store.net.command import Command
from aioq.store.net.info import facts_of
from aioq.store.net.stream import ReplyError
from aioq.values.durability import MEMORY, Durability, Level
from aioq.values.errors import ServerError, ServerUnsuitable

#: Seconds after which a server with `appendfsync everysec` owes a write its fsync: its second, and some more.
FSYNC_WITHIN_S = 1.05

#: Seconds that writes of such a server wait for each other, so that one question is asked for all of them.
GATHER_S = 0.02

ON_DISK = Durability("fsync")

Ask = Callable[..., Awaitable[list[Any]]]


class Write:
    """A call of a script that is to be durable, and how far it has come. Times are those of the event loop."""

    __slots__ = ("command", "deadline", "future", "is_begun", "limit", "reply", "since", "stalls")

    def __init__(self, command: Command, limit: float, future: asyncio.Future[tuple[Any, Durability]]) -> None:
        self.command = command
        self.limit = limit
        self.future = future
        self.reply: Any = None
        self.since = self.deadline = 0.0
        self.stalls = 0
        self.is_begun = False  # the fsync that covers it

    def end(self, reached: Durability) -> None:
        if not self.future.done():
            self.future.set_result((self.reply, reached))

    def fail(self, error: ServerError) -> None:
        if not self.future.done():
            # One error for each caller, since each adds its own traceback.
            self.future.set_exception(type(error)(*error.args))


class Disk(NamedTuple):
    """What a server says of its append-only file.

    Args:
        is_idle: no fsync is under way.
        is_clean: the file is in use, nothing waits to be written to it, and the last write went well.
        stalls: how often a write was put off because an fsync took long.

    """

    is_idle: bool
    is_clean: bool
    stalls: int

    @classmethod
    def of(cls, facts: Mapping[str, str]) -> Disk:
        is_clean = {
            "aof_enabled": "1",
            "aof_buffer_length": "0",
            "aof_last_write_status": "ok",
        }.items() <= facts.items()

        return cls(facts.get("aof_pending_bio_fsync") == "0", is_clean, int(facts.get("aof_delayed_fsync", -1)))


class Means(Protocol):
    """How a level of durability is reached.

    lag: seconds after a write before which there is nothing to ask.
    stalls: how often the server had put off a write when it was last asked.
    """

    lag: float
    stalls: int

    async def prepare(self, ask: Ask) -> None:
        """Check whether the server can do it, before anything is written. Raises ServerUnsuitable."""

    async def reached(
        self, ask: Ask, writes: Sequence[Write], slice_ms: int
    ) -> tuple[Sequence[Write], Durability]:
        """Wait for a slice of time: the writes that are durable now, and how durable."""


class Fsync:
    """On the server's disk: WAITAOF, and with `appendfsync everysec` something else.

    Under everysec, some servers (Redis 7.4 until it was mended, Valkey 9.1 at least) answer WAITAOF before the
    fsync if the last one was less than a second ago: https://github.com/redis/redis/pull/13793. So WAITAOF is not
    believed there. A write is followed by an fsync within a second, unless another one is still under way. So when
    that second has passed, and the server has been seen without one under way, then the one that counts has begun;
    and when it is seen without one again, it has ended. That does not hold if the server has put a write off
    meanwhile because of a slow disk, which it counts; such a write gets another second.
    """

    def __init__(self) -> None:
        self.lag = 0.0
        self.stalls = 0

    async def prepare(self, ask: Ask) -> None:
        wait, info, *settings = await ask(
            ("WAITAOF", 1, 0, 1),
            ("INFO", "persistence"),
            ("CONFIG", "GET", "appendfsync"),
            ("CONFIG", "GET", "no-appendfsync-on-rewrite"),
        )

        if isinstance(wait, ReplyError):
            if "unknown command" in str(wait):
                raise ServerUnsuitable(
                    "it has no WAITAOF, which durability='fsync' needs. Use Redis 7.2, Valkey 7.2 or later"
                )

            if "appendonly" in str(wait):
                raise ServerUnsuitable(
                    "its append-only file is off, which durability='fsync' needs. Set appendonly to yes"
                )

            raise wait

        # A managed server may hide its settings; then they are taken to be the usual ones.
        policy, yields = (b"" if isinstance(each, ReplyError) or len(each) != 2 else each[1] for each in settings)

        if policy == b"no":
            raise ServerUnsuitable(
                "it leaves it to the system when its append-only file goes to the disk (appendfsync no), so"
                " durability='fsync' would wait in vain. Set appendfsync to everysec or always"
            )

        if yields == b"yes":
            raise ServerUnsuitable(
                "it makes no fsync while it writes a snapshot (no-appendfsync-on-rewrite yes), so"
                " durability='fsync' would wait in vain. Set no-appendfsync-on-rewrite to no"
            )

        self.lag = 0.0 if policy == b"always" else FSYNC_WITHIN_S + GATHER_S

        if self.lag and isinstance(info, ReplyError):
            raise info

        self.stalls = -1 if isinstance(info, ReplyError) else Disk.of(facts_of(info)).stalls

    async def reached(
        self, ask: Ask, writes: Sequence[Write], slice_ms: int
    ) -> tuple[Sequence[Write], Durability]:
        if self.lag:
            return await self._synced(ask, writes), ON_DISK

        (reply,) = await ask(("WAITAOF", 1, 0, slice_ms))

        if isinstance(reply, ReplyError):
            raise reply

        return (writes, ON_DISK) if reply[0] else ((), MEMORY)

    async def _synced(self, ask: Ask, writes: Sequence[Write]) -> Sequence[Write]:
        """Those of the writes that are on the disk, under everysec."""
        now = asyncio.get_running_loop().time()
        due = [each for each in writes if each.since + FSYNC_WITHIN_S <= now]
        first = await self._read_disk(ask)

        for each in due:
            each.is_begun = each.is_begun or first.is_idle

        second = await self._read_disk(ask)
        self.stalls = second.stalls
        done = []

        for each in due:
            if each.stalls != second.stalls:
                each.since, each.stalls, each.is_begun = now, second.stalls, False
            elif each.is_begun and second.is_idle and second.is_clean:
                done.append(each)
            else:
                each.since = now - FSYNC_WITHIN_S + GATHER_S  # ask again soon

        return done

    async def _read_disk(self, ask: Ask) -> Disk:
        (info,) = await ask(("INFO", "persistence"))

        if isinstance(info, ReplyError):
            raise info

        return Disk.of(facts_of(info))


class Replicated:
    """In the memory of at least one replica, too: WAIT."""

    lag = 0.0
    stalls = 0

    async def prepare(self, ask: Ask) -> None:
        # That WAIT is refused must be known before anything is written. For no replicas it answers at once.
        wait, info = await ask(("WAIT", 0, 1), ("INFO", "replication"))

        if isinstance(wait, ReplyError):
            raise wait

        if not isinstance(info, ReplyError) and facts_of(info).get("connected_slaves") == "0":
            raise ServerUnsuitable(
                "it has no replica, which durability='replicated' needs. Connect one, or leave the option out"
            )

    async def reached(
        self, ask: Ask, writes: Sequence[Write], slice_ms: int
    ) -> tuple[Sequence[Write], Durability]:
        (count,) = await ask(("WAIT", 1, slice_ms))

        if isinstance(count, ReplyError):
            raise count

        return (writes, Durability("replicated", count)) if count else ((), MEMORY)


MEANS: dict[Level, Callable[[], Means]] = {"fsync": Fsync, "replicated": Replicated}
