"""Committer: writes that are waited for until they are durable. Those that come together share one wait.

WAIT and WAITAOF block the connection that they are sent on, and speak of its own writes. So durable writes have a
wire of their own, and nothing else is sent on it. A wait is cut into slices. A call that comes during a slice is
written when the slice ends, and the next slice covers it. If the wire is lost, all calls that were not known to be
durable are written again on the next one; scripts are safe to repeat.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Any

from aioq.store.connection import Connection
from aioq.store.levels import MEANS, Write
from aioq.store.net.budget import Budget
from aioq.store.net.command import Argument, Command
from aioq.store.net.library import loading
from aioq.store.net.refusals import TRANSIENT, refusal, unreachable
from aioq.store.net.stream import ReplyError, pack
from aioq.store.net.wire import Wire
from aioq.values.durability import MEMORY, Durability, Level
from aioq.values.errors import ServerError, ServerUnreachable, ServerUnsuitable

log = logging.getLogger("aioq.store")

#: Writes of one round trip: a script for each, so they stay in the range of milliseconds.
MOST_WRITES = 250

#: Seconds that one wait may block the wire, at first and at the most: each that brings nothing is followed by one
#: twice as long, so that a slow fsync is not outrun by new writes for ever.
FIRST_SLICE_S, LONGEST_SLICE_S = 0.05, 1.0

#: After these errors another wire is opened: the server cannot answer now, or another one has the key by now.
ELSEWHERE = TRANSIENT | {"MOVED", "ASK"}


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
        self._slice = FIRST_SLICE_S
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

        batch = self._new[:MOST_WRITES]
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

            for reply in await self._ask(*loading(str(each.command[1]) for each in forgotten)):
                if isinstance(reply, ReplyError):
                    raise refusal(self._connection.url, reply)

    async def _wait(self, seconds: float) -> None:
        """Wait for a slice of time until writes are durable, and end those whose time is over."""
        try:
            done, reached = await self._means.reached(self._ask, self._written, max(1, int(seconds * 1000)))
        except ReplyError as error:  # a setting or a right was changed meanwhile: it will not get more durable
            log.warning("%s; jobs may be less durable than was asked for", refusal(self._connection.url, error))

            for each in self._written:
                each.end(MEMORY)
        else:
            self._slice = FIRST_SLICE_S if done else min(self._slice * 2, LONGEST_SLICE_S)
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

            wire = self._wire = await self._connection.lend_wire(LONGEST_SLICE_S, self._key)

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
