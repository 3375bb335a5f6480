"""Committer: writes that are waited for until they are durable. Those that come together share one wait.

WAIT and WAITAOF block the connection that they are sent on, and speak of its own writes. So durable writes have a
wire of their own, and nothing else travels on it. A wait is cut into slices: what arrives during one is written
when it ends, and is covered by the next. If the wire is lost, everything that was not known to be durable is
written again on the next one; scripts are safe to repeat.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

from aioq.store.connection import Connection
from aioq.store.net.budget import Budget
from aioq.store.net.command import Argument, Command
from aioq.store.net.library import loading
from aioq.store.net.translation import TRANSIENT, refusal, unreachable
from aioq.store.net.wire import ReplyError, Wire, pack
from aioq.values.durability import MEMORY, Durability, Level
from aioq.values.errors import ServerError, ServerUnreachable, ServerUnsuitable

log = logging.getLogger("aioq.store")

#: Writes of one round trip: a script for each, so they stay in the range of milliseconds.
MOST = 250

#: Seconds that one wait may block the wire, at first and at the most: each that brings nothing is followed by one
#: twice as long, so that a slow fsync is not outrun by new writes for ever.
SLICE, LONGEST_SLICE = 0.05, 1.0

#: Seconds after which a server with `appendfsync everysec` owes a write its fsync: its second, and some more.
LAG = 1.05

#: Seconds that writes of such a server wait for each other, so that one question is asked for all of them.
GRAIN = 0.02

ON_DISK = Durability("fsync")

#: Errors after which another wire is opened: this server cannot answer now, or is not the one to ask any more.
ELSEWHERE = TRANSIENT | {"MOVED", "ASK"}

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
        """Look whether the server can do it, before anything is written. Raises ServerUnsuitable."""

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

        self.lag = 0.0 if policy == b"always" else LAG + GRAIN

        if self.lag and isinstance(info, ReplyError):
            raise info

        self.stalls = Disk.of(_facts(info)).stalls

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
        due = [each for each in writes if each.since + LAG <= now]
        first = await self._look(ask)

        for each in due:
            each.is_begun = each.is_begun or first.is_idle

        second = await self._look(ask)
        self.stalls = second.stalls
        done = []

        for each in due:
            if each.stalls != second.stalls:
                each.since, each.stalls, each.is_begun = now, second.stalls, False
            elif each.is_begun and second.is_idle and second.is_clean:
                done.append(each)
            else:
                each.since = now - LAG + GRAIN  # ask again soon

        return done

    async def _look(self, ask: Ask) -> Disk:
        (info,) = await ask(("INFO", "persistence"))

        if isinstance(info, ReplyError):
            raise info

        return Disk.of(_facts(info))


class Replicated:
    """In the memory of at least one replica, too: WAIT."""

    lag = 0.0
    stalls = 0

    async def prepare(self, ask: Ask) -> None:
        # That WAIT is refused must be known before anything is written. For no replicas it answers at once.
        wait, info = await ask(("WAIT", 0, 1), ("INFO", "replication"))

        if isinstance(wait, ReplyError):
            raise wait

        if _facts(info).get("connected_slaves") == "0":
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


class Committer:
    """Makes calls of one event loop durable, on a wire of its own that is opened when it is first needed.

    Args:
        connection: the server.
        level: "fsync" or "replicated".
        key: what is written; in a Cluster it says where.

    """

    def __init__(self, connection: Connection, level: Level, key: Argument) -> None:
        self._connection = connection
        self._key = key
        self._means = MEANS[level]()
        self._wire: Wire | None = None
        self._new: list[Write] = []
        self._written: list[Write] = []
        self._slice = SLICE
        self._arrival = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    async def submit(self, command: Command, limit: float) -> tuple[Any, Durability]:
        """The reply of one call of a script, and what was reached.

        Args:
            command: the call; it may be sent again when the connection is lost.
            limit: seconds that the wait for durability may take, from when the call was answered. What was not
                reached then is "memory".

        Raises:
            ServerUnsuitable: the server cannot do it. The call was not sent.
            ServerError: the call failed, or its reply was lost.

        """
        loop = asyncio.get_running_loop()

        if self._task is None or self._task.done():
            self._task = loop.create_task(self._run())

        write = Write(command, limit, loop.create_future())
        self._new.append(write)
        self._arrival.set()

        return await write.future

    async def _run(self) -> None:
        """Write and wait until nothing is left to do. A task of its own: no caller takes it down with itself."""
        budget = None

        while self._forget_ended():
            try:
                await self._round()
                budget = None
            except ServerUnreachable as error:
                # What was written is in doubt now: it is written again, where it changes nothing if it is there.
                self._new, self._written, self._wire = self._written + self._new, [], None
                budget = budget or Budget(self._connection.call_timeout, self._connection.pauses)

                try:
                    await asyncio.sleep(budget.pause_after(error))
                except ServerUnreachable:
                    self._fail(self._new, error)
                    budget = None
            except ServerError as error:
                self._fail(self._new + self._written, error)
            except Exception as error:  # whatever it is, nobody may wait for ever
                log.exception("durable writes failed: an error that nobody foresaw")
                self._fail(self._new + self._written, ServerError(f"durability failed: {error!r}"))

    async def _round(self) -> None:
        self._arrival.clear()

        if self._new:
            await self._write()

        if not self._written:
            return

        now = asyncio.get_running_loop().time()
        deadline = min(each.deadline for each in self._written)
        ready = min(each.since for each in self._written) + self._means.lag

        if now < min(ready, deadline):
            await self._rest(min(ready, deadline) - now)
        else:
            await self._wait(min(self._slice, max(deadline - now, 0.001)))

    async def _write(self) -> None:
        """Send what is new, if the server can make it durable."""
        try:
            await self._means.prepare(self._ask)
        except ServerUnsuitable as error:
            where = f"the server at {self._connection.url} cannot do this: {error}. Nothing was written"
            self._fail(self._new, ServerUnsuitable(where))
            return
        except ReplyError as error:
            self._fail(self._new, refusal(self._connection.url, error))
            return

        batch = self._new[:MOST]
        replies = await self._ask(*(each.command for each in batch))
        del self._new[: len(batch)]
        now = asyncio.get_running_loop().time()
        forgotten = []

        for write, reply in zip(batch, replies, strict=True):
            if not isinstance(reply, ReplyError):
                write.reply, write.since, write.stalls, write.is_begun = reply, now, self._means.stalls, False
                write.deadline = write.deadline or now + write.limit
                self._written.append(write)
            elif reply.code == "NOSCRIPT":
                forgotten.append(write)
            else:
                write.fail(refusal(self._connection.url, reply, write.command))

        if forgotten:
            self._new[:0] = forgotten

            for reply in await self._ask(*loading()):
                if isinstance(reply, ReplyError):
                    raise refusal(self._connection.url, reply)

    async def _wait(self, seconds: float) -> None:
        """Ask for a slice of time how durable is what was written, and end what has waited long enough."""
        try:
            done, reached = await self._means.reached(self._ask, self._written, max(1, int(seconds * 1000)))
        except ReplyError as error:  # a setting or a right was changed meanwhile: it will not get more durable
            log.warning("%s; jobs may be less durable than was asked for", refusal(self._connection.url, error))

            for each in self._written:
                each.end(MEMORY)
        else:
            self._slice = SLICE if done else min(self._slice * 2, LONGEST_SLICE)
            now = asyncio.get_running_loop().time()

            for each in done:
                each.end(reached)

            for each in self._written:
                if each.deadline <= now:
                    each.end(MEMORY)

    async def _rest(self, seconds: float) -> None:
        """Until there is something to write, or the time is over."""
        if self._new:
            return

        try:
            async with asyncio.timeout(seconds):
                await self._arrival.wait()
        except TimeoutError:
            pass

    async def _ask(self, *commands: Command) -> list[Any]:
        """One round trip on the own wire; errors of single commands stand in their place."""
        wire = self._wire

        if wire is None or not wire.is_open:
            if self._written:  # what was written on another wire must be written again on this one
                raise unreachable(self._connection.url, ConnectionResetError("the connection was lost"))

            wire = self._wire = await self._connection.lend_wire(LONGEST_SLICE, self._key)

        begun = wire.loop.time()

        try:
            replies = await wire.send(pack(commands), len(commands))
        except OSError as error:
            failure = unreachable(self._connection.url, error)
            failure.silence = wire.loop.time() - max(begun, wire.moved_at)

            raise failure from None

        for reply in replies:
            if isinstance(reply, ReplyError) and reply.code in ELSEWHERE:
                wire.abort(ConnectionResetError(str(reply)))
                raise unreachable(self._connection.url, reply)

        return replies

    def _fail(self, writes: list[Write], error: ServerError) -> None:
        for each in writes:
            each.fail(error)

    def _forget_ended(self) -> bool:
        """Drop what has an answer or whose caller was cancelled. Whether anything is left."""
        self._new = [each for each in self._new if not each.future.done()]
        self._written = [each for each in self._written if not each.future.done()]

        return bool(self._new or self._written)


def _facts(info: Any) -> dict[str, str]:
    """The reply to INFO; empty if the server does not give it."""
    if isinstance(info, ReplyError):
        return {}

    return dict(line.split(":", 1) for line in info.decode().splitlines() if ":" in line)
