"""Stream: an open connection, taken over from redis-py.

redis-py opens it: addresses, TLS, credentials and databases are its business. Then its stream is taken over. Its
client lends a connection to one call at a time, and a call through its pool costs more than all else that an
enqueue does (docs/design.md has the figures).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import hiredis

from aioq.store.net.command import Command
from aioq.store.net.per_loop import close_without_loop, lead_nowhere, track

if TYPE_CHECKING:
    from redis.asyncio.connection import AbstractConnection

_NOTHING = object()


class ReplyError(Exception):
    """An error that the server gave as a reply; its text begins with a code such as NOSCRIPT."""

    @property
    def code(self) -> str:
        return str(self).partition(" ")[0]


class Stream(asyncio.Protocol):
    """An open connection, taken over from redis-py. What it does with replies differs: see Wire and Subscription.

    Args:
        connection: a connection of redis-py that has connected; it belongs to the stream from now on.

    """

    def __init__(self, connection: AbstractConnection) -> None:
        self.loop = asyncio.get_running_loop()
        self.is_open = True
        self.moved_at = self.loop.time()  # when a byte was last seen to move, by the loop's clock
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
        """Close the connection. Each call that waits for an answer gets an error."""
        self._transport.close()

        try:
            await asyncio.wait_for(self._gone.wait(), 1)
        except TimeoutError:
            self._transport.abort()
            await self._gone.wait()

    def abort(self, error: OSError) -> None:
        """Give the connection up at once. Each call that waits for an answer gets this error."""
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
        self.moved_at = self.loop.time()

        try:
            self._reader.feed(data)

            while (reply := self._reader.gets()) is not _NOTHING:
                self._received(reply)
        except (hiredis.ProtocolError, IndexError) as error:
            self.abort(ConnectionResetError(f"the server does not speak RESP: {error}"))

    def connection_lost(self, exc: Exception | None) -> None:
        self._end(exc if isinstance(exc, OSError) else ConnectionResetError("the server closed the connection"))
        self._gone.set()

    # What wires and subscriptions do in their own way

    def _received(self, reply: Any) -> None:
        raise NotImplementedError

    def _end(self, error: OSError) -> None:
        raise NotImplementedError


async def connect(connection: AbstractConnection) -> None:
    """Let redis-py connect. It leaves its socket open when it is cancelled half-way.

    It uses asyncio.wait_for, which before Python 3.12 may swallow that the task was cancelled.
    """
    task = asyncio.current_task()
    assert task is not None
    before = task.cancelling()

    try:
        await connection.connect()

        if task.cancelling() > before:
            raise asyncio.CancelledError  # noqa: TRY301 - it ends what was opened, too
    except BaseException:
        if connection._writer is not None:  # noqa: SLF001 - there is no public way
            stream = _take_over(connection)
            stream.transport.abort()

        raise


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
