"""Wire: one connection on which calls do not wait for each other.

redis-py opens it: addresses, TLS, credentials and databases are its business. Then the stream is taken over,
because redis-py's client lends a connection to one call at a time, and a call through its pool costs more than all
else that an enqueue does (docs/design.md has the figures). Here a trip is one write and one future; the server
answers in order, so replies need no address.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

import hiredis
from redis.asyncio.connection import AbstractConnection

from aioq.store.per_loop import close_without_loop, lead_nowhere, track
from aioq.store.script import Command

_NOTHING = object()


class ReplyError(Exception):
    """An error that the server gave as a reply; its text begins with a code such as NOSCRIPT."""

    @property
    def code(self) -> str:
        return str(self).partition(" ")[0]


class Stream(asyncio.Protocol):
    """An open connection, taken over from redis-py. Its ends differ: see Wire and Subscription.

    Args:
        connection: a connection of redis-py that has connected; it belongs to the stream from now on.

    """

    def __init__(self, connection: AbstractConnection) -> None:
        self.loop = asyncio.get_running_loop()
        self.is_open = True
        self._gone = asyncio.Event()
        self._reader = hiredis.Reader(replyError=ReplyError, notEnoughData=_NOTHING)
        # The stream is kept, because it closes its transport when it is collected.
        self._stream = _take_over(connection)
        self._transport: Any = self._stream.transport
        self._transport.set_protocol(self)
        track(self)

    async def closed(self) -> None:
        """Wait until the connection has ended, for whatever reason."""
        await self._gone.wait()

    async def aclose(self) -> None:
        """Close it; who waits for an answer gets an error."""
        self._transport.close()

        try:
            await asyncio.wait_for(self._gone.wait(), 1)
        except TimeoutError:
            self._transport.abort()
            await self._gone.wait()

    def abort(self, error: OSError) -> None:
        """Give it up at once; who waits for an answer gets this error."""
        self._end(error)
        self._transport.abort()

    def abandon(self) -> None:
        """Close it without its event loop, which has been closed."""
        if not self._gone.is_set():
            self.is_open = False
            close_without_loop(self._transport)

    def disown(self) -> None:
        """Give it up in a forked child: it is the parent's."""
        if not self._gone.is_set():
            self.is_open = False
            lead_nowhere(self._transport)

    # asyncio.Protocol

    def data_received(self, data: bytes) -> None:
        try:
            self._reader.feed(data)

            while (reply := self._reader.gets()) is not _NOTHING:
                self._take(reply)
        except (hiredis.ProtocolError, IndexError) as error:
            self.abort(ConnectionResetError(f"the server does not speak RESP: {error}"))

    def connection_lost(self, exc: Exception | None) -> None:
        self._end(exc if isinstance(exc, OSError) else ConnectionResetError("the server closed the connection"))
        self._gone.set()

    # What the ends do

    def _take(self, reply: Any) -> None:
        raise NotImplementedError

    def _end(self, error: OSError) -> None:
        raise NotImplementedError


class Wire(Stream):
    """A connection for calls.

    A caller that is cancelled leaves its reply to nobody. Nothing holds back a write: every caller waits for its
    reply, so what has not been written yet is no more than what callers have in hand.

    Args:
        connection: a connection of redis-py that has connected; it belongs to the wire from now on.

    """

    def __init__(self, connection: AbstractConnection) -> None:
        super().__init__(connection)
        self._trips: deque[tuple[asyncio.Future[list[Any]], int, float]] = deque()
        self._replies: list[Any] = []
        self._timeout: float | None = connection.socket_timeout
        self._watch: asyncio.TimerHandle | None = None

    @classmethod
    async def open(cls, connection: AbstractConnection) -> Wire:
        """Connect, and take the connection over.

        Raises:
            OSError, redis.RedisError: the server cannot be reached, or refuses.

        """
        await connection.connect()

        return cls(connection)

    def send(self, packed: bytes, count: int) -> asyncio.Future[list[Any]]:
        """One round trip.

        Args:
            packed: commands, as `pack` made them.
            count: how many they are.

        Returns:
            Their replies, in order; an error that the server gave for one of them is a ReplyError in its place.
            The future fails with an OSError when the connection is lost or the server takes too long.

        """
        if not self.is_open:
            raise ConnectionResetError("the connection is closed")

        future = self.loop.create_future()
        self._trips.append((future, count, self.loop.time()))
        self._transport.write(packed)

        if self._watch is None and self._timeout:
            self._watch = self.loop.call_later(self._timeout, self._look)

        return future

    def _take(self, reply: Any) -> None:
        future, count, _ = self._trips[0]
        self._replies.append(reply)

        if len(self._replies) == count:
            self._trips.popleft()
            replies, self._replies = self._replies, []

            if not future.done():
                future.set_result(replies)

    def _look(self) -> None:
        """One timer watches over all trips: only the oldest can be late first."""
        self._watch = None

        if not self._trips or self._timeout is None:
            return

        late_at = self._trips[0][2] + self._timeout

        if late_at <= self.loop.time():
            self.abort(TimeoutError(f"no answer within {self._timeout:g} s"))
        else:
            self._watch = self.loop.call_at(late_at, self._look)

    def _end(self, error: OSError) -> None:
        self.is_open = False

        if self._watch is not None:
            self._watch.cancel()

        while self._trips:
            future, _, _ = self._trips.popleft()

            if not future.done():
                future.set_exception(error)


class Subscription(Stream):
    """A connection that hears what is published.

    The server is asked now and then whether it is there; one that says nothing until the next time is given up.

    Args:
        connection: a connection of redis-py that has connected; it belongs to the subscription from now on.
        hear: called with each reply: [b"subscribe", channel, number], [b"message", channel, bytes], a ReplyError.
        silence: seconds between two questions.

    """

    def __init__(self, connection: AbstractConnection, hear: Callable[[Any], None], silence: float) -> None:
        super().__init__(connection)
        self._hear = hear
        self._silence = silence
        self._heard = True
        self._watch = self.loop.call_later(silence, self._ask)

    @classmethod
    async def open(
        cls, connection: AbstractConnection, hear: Callable[[Any], None], silence: float
    ) -> Subscription:
        """Connect, and take the connection over. As Wire.open."""
        await connection.connect()

        return cls(connection, hear, silence)

    def subscribe(self, channels: Sequence[str]) -> None:
        """Ask for what is published on these channels; `hear` is told of each when it is so."""
        if self.is_open and channels:
            self._transport.write(pack((("SUBSCRIBE", *channels),)))

    def _take(self, reply: Any) -> None:
        self._heard = True
        self._hear(reply)

    def _ask(self) -> None:
        if not self._heard:
            self.abort(TimeoutError(f"no sign of the server for {self._silence:g} s"))
            return

        self._heard = False
        self._transport.write(pack((("PING",),)))
        self._watch = self.loop.call_later(self._silence, self._ask)

    def _end(self, error: OSError) -> None:  # noqa: ARG002 - nobody waits for an answer
        self.is_open = False
        self._watch.cancel()


def _take_over(connection: AbstractConnection) -> asyncio.StreamWriter:
    """The stream of a connection of redis-py, which then holds itself to be closed."""
    stream = connection._writer  # noqa: SLF001 - there is no public way
    connection._reader = connection._writer = None  # noqa: SLF001
    assert stream is not None

    return stream


def pack(commands: Sequence[Command]) -> bytes:
    """Commands as bytes on the wire.

    Raises:
        TypeError: a value is not bytes, str, int or float.

    """
    # hiredis declares that it takes tuples of one value only.
    pack_one: Callable[[Command], bytes] = hiredis.pack_command  # type: ignore[assignment]

    return pack_one(commands[0]) if len(commands) == 1 else b"".join(map(pack_one, commands))
