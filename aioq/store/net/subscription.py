"""Subscription: a connection that hears what is published."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from aioq.store.net.stream import Stream, connect, pack

if TYPE_CHECKING:
    from redis.asyncio.connection import AbstractConnection


class Subscription(Stream):
    """A connection that hears what is published.

    The server is asked now and then whether it is there. If it says nothing until the next question, the
    connection is given up. So a connection that dies silently is noticed within twice the interval.

    Args:
        connection: a connection of redis-py that has connected; it belongs to the subscription from now on.
        hear: called with each reply: [b"subscribe", channel, number], [b"message", channel, bytes], a ReplyError.
        interval: seconds between two questions.

    """

    def __init__(self, connection: AbstractConnection, hear: Callable[[Any], None], interval: float) -> None:
        super().__init__(connection)
        self._hear = hear
        self._interval = interval
        self._heard = True
        self._watch = self.loop.call_later(interval, self._ask)

    @classmethod
    async def open(
        cls, connection: AbstractConnection, hear: Callable[[Any], None], interval: float
    ) -> Subscription:
        """Connect, and take the connection over. As Wire.open."""
        await connect(connection)

        return cls(connection, hear, interval)

    def subscribe(self, channels: Sequence[str]) -> None:
        """Ask for what is published on these channels; `hear` is told of each when it is so."""
        if self.is_open and channels:
            self._transport.write(pack((("SUBSCRIBE", *channels),)))

    def _received(self, reply: Any) -> None:
        self._heard = True
        self._hear(reply)

    def _ask(self) -> None:
        if not self._heard:
            self.abort(TimeoutError(f"no sign of the server for {self._interval:g} s"))
            return

        self._heard = False
        self._transport.write(pack((("PING",),)))
        self._watch = self.loop.call_later(self._interval, self._ask)

    def _end(self, error: OSError) -> None:  # noqa: ARG002 - nobody waits for an answer
        self.is_open = False
        self._watch.cancel()
