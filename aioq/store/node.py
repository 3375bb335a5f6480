"""Node: one server, or the primary that sentinels name. All calls share one wire, opened when it is needed."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from typing import Any

import redis as redis_sync
from redis.exceptions import NoScriptError, RedisError

from aioq.store.address import Address
from aioq.store.script import Argument, Command, loading
from aioq.store.sentinels import Place
from aioq.store.translation import ALONE, AWAY, HUNG_UP, PASSING, is_alone, refusal, translated, unreachable
from aioq.store.wire import ReplyError, Subscription, Wire, pack
from aioq.values.errors import ServerError, ServerUnreachable

log = logging.getLogger("aioq.store")

#: A call fails after this many seconds without an answer; far above any script's time, below anyone's patience.
CALL_TIMEOUT = 15.0

#: The same where another server takes over when one is silent.
SHORT_TIMEOUT = 5.0

#: How often a server that publishes is asked whether it is there, in seconds; it has as long to say anything.
SILENCE, SHORT_SILENCE = 15.0, 2.5


class Node:
    """The way to one server, for one event loop.

    Args:
        address: how it is reached.
        blocking: seconds that the server may take to answer, beside its usual time.

    """

    def __init__(self, address: Address, blocking: float = 0) -> None:
        self.address = address
        self.url = address.url
        self.opened = 0  # wires so far
        self._timeout = blocking + SHORT_TIMEOUT if blocking or address.has_others else CALL_TIMEOUT
        self._away = AWAY | ALONE if address.has_others else AWAY
        self._wire: Wire | None = None
        self._place: Place | None = None  # where the wire leads, if sentinels named it
        self._opening: asyncio.Task[Wire] | None = None

    @property
    def is_open(self) -> bool:
        """Whether there is a wire, or will soon be one."""
        return self._opening is not None or (self._wire is not None and self._wire.is_open)

    async def trip(self, commands: Sequence[Command]) -> list[Any]:
        """One round trip. Errors of single commands stand in their place; scripts that are missing are loaded.

        Raises:
            ServerUnreachable: nobody answers, or not now; it may have been carried out.

        """
        try:
            packed = pack(commands)
        except TypeError as error:
            raise ServerError(f"a value cannot be sent: {error}") from None

        replies = await self._attempt(packed, len(commands))

        for reply in replies:
            if isinstance(reply, ReplyError) and reply.code == "NOSCRIPT":
                return await self._mend(commands, replies)

        return replies

    async def nodes(self) -> list[Node]:
        """The servers that have keys: this one."""
        return [self]

    async def open_wire(self, patience: float, key: Argument) -> Wire:  # noqa: ARG002 - it has all keys
        """A wire of one's own; calls on it fail after these seconds without an answer."""
        with translated(self.url):
            return await Wire.open(self.address.connection(socket_timeout=patience))

    async def open_subscription(self, hear: Callable[[Any], None]) -> Subscription:
        """A connection that hears what is published."""
        silence = SHORT_SILENCE if self.address.has_others else SILENCE

        with translated(self.url):
            return await Subscription.open(self.address.connection(socket_timeout=self._timeout), hear, silence)

    async def aclose(self) -> None:
        if self._opening is not None:
            self._opening.cancel()
            await asyncio.wait([self._opening])
            self._opening = None

        if self._wire is not None:
            wire, self._wire = self._wire, None
            await wire.aclose()

    async def _attempt(self, packed: bytes, count: int) -> list[Any]:
        wire = self._wire

        if wire is not None and self._place is not None and self._place != self.address.named:
            # Another connection was told of a new primary. The old one may still answer, and know nothing.
            wire.abort(ConnectionResetError("there is another primary"))

        if wire is None or not wire.is_open:
            wire = await self._open()

        try:
            replies = await wire.send(packed, count)
        except OSError as error:
            raise unreachable(self.url, error) from error

        for reply in replies:
            if isinstance(reply, ReplyError) and reply.code in self._away | PASSING:
                if reply.code in self._away:  # another address may have taken over
                    wire.abort(ConnectionResetError(str(reply)))

                raise unreachable(self.url, reply)

        return replies

    async def _mend(self, commands: Sequence[Command], replies: list[Any]) -> list[Any]:
        """Load scripts that the server has forgotten, and send again only what did not run."""
        forgotten = [
            at for at, reply in enumerate(replies) if isinstance(reply, ReplyError) and reply.code == "NOSCRIPT"
        ]
        await self._load_scripts()
        again = [commands[at] for at in forgotten]

        for at, reply in zip(forgotten, await self._attempt(pack(again), len(again)), strict=True):
            replies[at] = reply

        return replies

    async def _load_scripts(self) -> None:
        for reply in await self._attempt(pack(loading()), len(loading())):
            if isinstance(reply, ReplyError):
                raise refusal(self.url, reply)

    async def _open(self) -> Wire:
        """The wire, opened once for all who wait for it."""
        if self._opening is None:
            self._opening = asyncio.get_running_loop().create_task(self._connect())
            self._opening.add_done_callback(self._opened)

        try:
            # A caller that gives up must not take the wire from the others.
            with translated(self.url):
                return await asyncio.shield(self._opening)
        except ServerUnreachable as error:
            if any(words in str(error) for words in HUNG_UP):
                raise ServerUnreachable(
                    f"{error} It was taken and hung up: see maxclients of the server"
                ) from error

            raise

    async def _connect(self) -> Wire:
        try:
            # To make a connection takes a descriptor for a moment already: an error of that is one of connecting.
            return await Wire.open(self.address.connection(socket_timeout=self._timeout))
        except (RedisError, OSError, ServerError):
            raise
        except Exception as error:  # the unforeseen must not end the loops of a worker, which all rest on this
            log.exception("no connection to %s: an error that nobody foresaw", self.url)
            raise ConnectionError(repr(error)) from error

    def _opened(self, task: asyncio.Task[Wire]) -> None:
        if self._opening is task:
            self._opening = None

        if not task.cancelled() and task.exception() is None:
            self._wire, self._place = task.result(), self.address.named
            self.opened += 1


class ThreadNode:
    """The way to one server for one thread, which may wait for it.

    Args:
        address: how it is reached.
        timeout: seconds that a call may take.

    """

    def __init__(self, address: Address, timeout: float) -> None:
        self._url, self._has_others = address.url, address.has_others
        self._client: redis_sync.Redis = address.thread_client(timeout)

    def trip(self, commands: Sequence[Command]) -> list[Any]:
        """One round trip. Errors of single commands stand in their place; scripts that are missing are loaded.

        Raises:
            ServerUnreachable: nobody answers.

        """
        replies = self._send(commands)
        forgotten = [at for at, reply in enumerate(replies) if isinstance(reply, NoScriptError)]

        if forgotten:
            self._send(loading())

            for at, reply in zip(forgotten, self._send([commands[at] for at in forgotten]), strict=True):
                replies[at] = reply

        return replies

    def close(self) -> None:
        self._client.close()
        self._client.connection_pool.disconnect()

    def _send(self, commands: Sequence[Command]) -> list[Any]:
        pipeline = self._client.pipeline(transaction=False)

        for command in commands:
            pipeline.execute_command(*command)

        with translated(self._url):
            replies: list[Any] = pipeline.execute(raise_on_error=False)

        if self._has_others and any(isinstance(reply, Exception) and is_alone(reply) for reply in replies):
            self._client.connection_pool.disconnect()  # the next trip asks the sentinels again

        return replies
