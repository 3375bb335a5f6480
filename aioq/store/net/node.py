"""Node: one server, or the primary that sentinels name. All calls share one wire, opened when it is needed."""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Awaitable, Callable, Iterable, Sequence
from collections.abc import Set as AbstractSet
from typing import Any, TypeVar

from redis.exceptions import RedisError

from aioq.store.net.address import Address
from aioq.store.net.command import Argument, Command
from aioq.store.net.library import loading
from aioq.store.net.place import Place
from aioq.store.net.refusals import ALONE, AWAY, PASSING, refusal, unreachable
from aioq.store.net.stream import ReplyError, pack
from aioq.store.net.subscription import Subscription
from aioq.store.net.tasks import shared, within
from aioq.store.net.translation import advice_on_opening, translated
from aioq.store.net.wire import Wire
from aioq.values.errors import ServerError, ServerUnreachable

log = logging.getLogger("aioq.store")

_NONE: AbstractSet[str] = frozenset()

#: How often a subscription asks its server whether it is there, in seconds. The server has as long to say
#: anything. The second interval is for a server from which another one may take over. If all connections of a
#: process die silently, the subscription is given up after 9 s, the first call that asks again after 5 s more, and
#: the next one is answered.
QUESTION_INTERVAL_S, SHORT_QUESTION_INTERVAL_S = 4.5, 2.5

Opened = TypeVar("Opened")


class Node:
    """The way to one server, for one event loop.

    Args:
        address: how it is reached.
        timeout: seconds without a moving byte after which an attempt to open a connection, or a round trip on it,
            is given up.

    """

    def __init__(self, address: Address, timeout: float) -> None:
        self.address = address
        self.url = address.url
        self.opened = 0  # wires so far
        self._timeout = timeout
        self._away = AWAY | ALONE if address.has_others else AWAY
        self._wire: Wire | None = None
        self._place: Place | None = None  # where the wire leads, if sentinels named it
        self._opening: asyncio.Task[Wire] | None = None
        self._loaded: set[str] = set()  # the SHAs of scripts that the server has known

    @property
    def is_open(self) -> bool:
        """Whether there is a wire, or will soon be one."""
        return self._opening is not None or (self._wire is not None and self._wire.is_open)

    async def round_trip(self, commands: Sequence[Command], left: float = math.inf) -> list[Any]:
        """One round trip. Errors of single commands stand in their place; scripts that are missing are loaded.

        Args:
            commands: what is sent.
            left: seconds without a moving byte that the round trip may cost, if that is less than the timeout.

        Raises:
            ServerUnreachable: nobody answers, or not now; it may have been carried out.

        """
        try:
            packed = pack(commands)
        except TypeError as error:
            raise ServerError(f"a value cannot be sent: {error}") from None

        new = self._unknown_scripts(commands) if len(commands) > 1 else _NONE

        if len(new) > 1:
            await self._load_missing(new, left)

        replies = await self._attempt(packed, len(commands), left)

        for reply in replies:
            if isinstance(reply, ReplyError) and reply.code == "NOSCRIPT":
                self._loaded.clear()
                replies = await self._load_and_repeat(commands, replies, left)
                break

        if new:
            self._loaded |= new

        return replies

    async def nodes(self) -> list[Node]:
        """The servers that have keys: this one."""
        return [self]

    async def by_server(self, keys: Sequence[Argument]) -> list[tuple[Node, list[int]]]:
        """The positions of keys, each with the way to their server: all are on this one."""
        return [(self, list(range(len(keys))))] if keys else []

    async def open_wire(self, patience: float, key: Argument) -> Wire:  # noqa: ARG002 - it has all keys
        """A wire of one's own; calls on it fail after these seconds without an answer."""
        with translated(self.url):
            return await self._in_time(Wire.open(self.address.connection(socket_timeout=patience)))

    async def open_subscription(self, hear: Callable[[Any], None]) -> Subscription:
        """A connection that hears what is published."""
        interval = SHORT_QUESTION_INTERVAL_S if self.address.has_others else QUESTION_INTERVAL_S

        with translated(self.url):
            connection = self.address.connection(socket_timeout=self._timeout)

            return await self._in_time(Subscription.open(connection, hear, interval))

    async def aclose(self) -> None:
        if self._opening is not None:
            self._opening.cancel()
            await asyncio.wait([self._opening])
            self._opening = None

        if self._wire is not None:
            wire, self._wire = self._wire, None
            await wire.aclose()

    async def _attempt(self, packed: bytes, count: int, left: float) -> list[Any]:
        wire, begun = self._wire, asyncio.get_running_loop().time()
        waited = 0.0  # for the wire to be opened

        if wire is not None and self._place is not None and self._place != self.address.named:
            # Another connection was told of a new primary. The old one may still answer, and know nothing.
            wire.abort(ConnectionResetError("there is another primary"))

        if wire is None or not wire.is_open:
            wire = await self._open(left)
            waited, begun = wire.loop.time() - begun, wire.loop.time()

        try:
            sent = wire.send(packed, count)
            # The wire's own check needs no timer for each round trip. It is enough as a rule.
            replies = await (sent if left - waited >= self._timeout else _answer(wire, sent, begun, left - waited))
        except OSError as error:
            failure = unreachable(self.url, error)
            failure.silence = waited + wire.loop.time() - max(begun, wire.moved_at)

            raise failure from None

        for reply in replies:
            if isinstance(reply, ReplyError) and reply.code in self._away | PASSING:
                if reply.code in self._away:  # another address may have taken over
                    wire.abort(ConnectionResetError(str(reply)))

                raise unreachable(self.url, reply)

        return replies

    def _unknown_scripts(self, commands: Sequence[Command]) -> AbstractSet[str]:
        """The scripts, by their SHAs, that are sent together and of which the server may not know one."""
        if self._wire is None or not self._wire.is_open:
            self._loaded.clear()  # another server may answer now

        for each in commands:  # this is the path of every batch, and mostly there is none
            if each[0] == "EVALSHA" and each[1] not in self._loaded:
                return {str(each[1]) for each in commands if each[0] == "EVALSHA"}

        return _NONE

    async def _load_and_repeat(self, commands: Sequence[Command], replies: list[Any], left: float) -> list[Any]:
        """Load scripts that the server has forgotten, and send again only what did not run."""
        forgotten = [
            at for at, reply in enumerate(replies) if isinstance(reply, ReplyError) and reply.code == "NOSCRIPT"
        ]
        again = [commands[at] for at in forgotten]
        await self._load_scripts((str(each[1]) for each in again), left)

        for at, reply in zip(forgotten, await self._attempt(pack(again), len(again), left), strict=True):
            replies[at] = reply

        return replies

    async def _load_missing(self, shas: AbstractSet[str], left: float) -> None:
        """Load those of several scripts that the server does not know.

        They are to run in their order: a claim before the outcomes that are sent with it would not find the jobs
        that go back.
        """
        asked = sorted(shas)
        (known,) = await self._attempt(pack([("SCRIPT", "EXISTS", *asked)]), 1, left)

        if isinstance(known, ReplyError):  # not allowed to this user: the calls themselves will tell
            return

        if missing := [sha for sha, is_known in zip(asked, known, strict=True) if not is_known]:
            await self._load_scripts(missing, left)

    async def _load_scripts(self, shas: Iterable[str], left: float) -> None:
        """Load scripts, by their SHAs."""
        loads = loading(shas)

        for reply in await self._attempt(pack(loads), len(loads), left):
            if isinstance(reply, ReplyError):
                raise refusal(self.url, reply)

    async def _open(self, left: float) -> Wire:
        """The wire, opened once for all who wait for it. Each waits for no longer than it has seconds left."""
        loop = asyncio.get_running_loop()
        begun = loop.time()

        if self._opening is None:
            self._opening = loop.create_task(self._connect())
            self._opening.add_done_callback(self._opened)

        try:
            # A caller that gives up must not take the wire from the others.
            with translated(self.url):
                return await within(shared(self._opening), left)
        except ServerUnreachable as error:
            error.silence = loop.time() - begun
            error.advice = advice_on_opening(self.url, error)

            raise

    async def _connect(self) -> Wire:
        try:
            # To make a connection takes a descriptor for a moment already: an error of that is one of connecting.
            return await self._in_time(Wire.open(self.address.connection(socket_timeout=self._timeout)))
        except (RedisError, OSError, ServerError):
            raise
        except Exception as error:  # the unforeseen must not end the loops of a worker, which all rest on this
            log.exception("no connection to %s: an error that nobody foresaw", self.url)
            raise ConnectionError(repr(error)) from error

    async def _in_time(self, opening: Awaitable[Opened]) -> Opened:
        """What is opened here. redis-py has a time limit for each step of it, and none for all of them."""
        return await within(opening, self._timeout)

    def _opened(self, task: asyncio.Task[Wire]) -> None:
        if self._opening is task:
            self._opening = None

        if not task.cancelled() and task.exception() is None:
            self._wire, self._place = task.result(), self.address.named
            self.opened += 1


async def _answer(wire: Wire, sent: asyncio.Future[list[Any]], begun: float, seconds: float) -> list[Any]:
    """The replies to a round trip that may cost fewer seconds without a moving byte than others on this wire."""
    left = seconds

    try:
        while left > 0:
            await asyncio.wait((sent,), timeout=left)

            if sent.done():
                return sent.result()

            left = max(begun, wire.moved_at) + seconds - wire.loop.time()

        raise TimeoutError(f"no answer within {seconds:.3g} s")
    finally:
        sent.cancel()
