"""Wire: one connection on which calls do not wait for each other.

A round trip is one write and one future. The server answers in order, so replies need no address.
"""

from __future__ import annotations

import asyncio
import struct
from collections import deque
from typing import TYPE_CHECKING, Any

from aioq.store.net.stream import Stream, connect

if TYPE_CHECKING:
    from redis.asyncio.connection import AbstractConnection

#: A call of more bytes than this is large. It is handed to the transport in pieces of this size, so that the bytes
#: that the peer has not taken yet are seen to become fewer, with TLS too.
PIECE_BYTES = 32_768

#: How often a wire checks whether the bytes of a large call move, in seconds. With a short timeout it checks eight
#: times within that.
CHECK_INTERVAL_S = 0.5


class Wire(Stream):
    """A connection for calls.

    The reply to a caller that was cancelled is dropped. The server's silence is measured from the last byte that
    moved: one that was received, or one of the call's own that the peer has taken. So a large call or a large
    reply may take as long as the line needs for it.

    Args:
        connection: a connection of redis-py that has connected; it belongs to the wire from now on. Calls fail
            after its `socket_timeout` in seconds without a moving byte.

    """

    def __init__(self, connection: AbstractConnection) -> None:
        super().__init__(connection)
        # Of each round trip: its future, how many replies it waits for, when it was sent, and where the last large
        # call before it ends among all bytes of this wire. Up to there, a byte that moves counts for it.
        self._round_trips: deque[tuple[asyncio.Future[list[Any]], int, float, int]] = deque()
        self._replies: list[Any] = []
        self._timeout: float | None = connection.socket_timeout
        self._watch: asyncio.TimerHandle | None = None
        self._checked_at = 0.0
        self._unsent: deque[memoryview] = deque()  # pieces of large calls, and what was sent after them
        self._is_full = False  # the transport takes no more for now
        self._handed = 0  # bytes that the transport was given
        self._taken = 0  # bytes that the peer had taken at the last check
        self._large_end = 0  # where the last large call ends

    @classmethod
    async def open(cls, connection: AbstractConnection) -> Wire:
        """Connect, and take the connection over. Nothing stays open if this fails or is cancelled.

        Raises:
            OSError, redis.RedisError: the server cannot be reached, or refuses.

        """
        await connect(connection)

        return cls(connection)

    def send(self, packed: bytes, count: int) -> asyncio.Future[list[Any]]:
        """One round trip.

        Args:
            packed: commands, as `pack` made them.
            count: how many they are.

        Returns:
            Their replies, in order; an error that the server gave for one of them is a ReplyError in its place.
            The future fails with an OSError when the connection is lost, or no byte moves for too long.

        """
        if not self.is_open:
            raise ConnectionResetError("the connection is closed")

        future = self.loop.create_future()

        if len(packed) <= PIECE_BYTES and not self._unsent:
            self._handed += len(packed)
            self._transport.write(packed)
        else:
            self._send_in_pieces(packed)

        self._round_trips.append((future, count, self.loop.time(), self._large_end))

        if self._watch is None and self._timeout:
            self._watch = self.loop.call_later(self._timeout, self._check_silence)

        return future

    async def aclose(self) -> None:
        """As Stream.aclose. If callers still wait for the server, it is not asked for a friendly end."""
        if self._round_trips:
            self.abort(ConnectionResetError("the connection was closed"))

        await super().aclose()

    def pause_writing(self) -> None:
        """Part of asyncio.Protocol."""
        self._is_full = True

    def resume_writing(self) -> None:
        """Part of asyncio.Protocol."""
        self._is_full = False
        # Not at once: asyncio's transport does not bear an error of a write that is made inside of this call.
        self.loop.call_soon(self._hand_over)

    def _send_in_pieces(self, packed: bytes) -> None:
        view = memoryview(packed)
        left = sum(map(len, self._unsent)) + len(packed)
        self._large_end = self._handed + left
        self._unsent.extend(view[at : at + PIECE_BYTES] for at in range(0, len(packed), PIECE_BYTES))
        self._hand_over()

        if self._timeout:
            self._check_soon(self._timeout)

    def _hand_over(self) -> None:
        while self._unsent and not self._is_full and not self._transport.is_closing():
            piece = self._unsent.popleft()
            self._handed += len(piece)
            self._transport.write(piece)

    def _received(self, reply: Any) -> None:
        future, count, _, _ = self._round_trips[0]
        self._replies.append(reply)

        if len(self._replies) == count:
            self._round_trips.popleft()
            replies, self._replies = self._replies, []

            if not future.done():
                future.set_result(replies)

    def _check_silence(self) -> None:
        """End the wire if the server is silent. One timer serves all round trips: the oldest is late first."""
        self._watch = None

        if not self._round_trips or self._timeout is None:
            return

        _, _, sent_at, end = self._round_trips[0]
        now = self.loop.time()
        self._note_taken(now, end)
        late_at = max(sent_at, self.moved_at) + self._timeout

        if late_at <= now:
            self.abort(TimeoutError(f"no answer within {self._timeout:g} s"))
        elif self._taken < self._large_end:
            self._watch = self.loop.call_at(min(late_at, now + self._interval(self._timeout)), self._check_silence)
        else:
            self._watch = self.loop.call_at(late_at, self._check_silence)

    def _check_soon(self, timeout: float) -> None:
        """Check more often from now on."""
        now = self.loop.time()
        soon = now + self._interval(timeout)

        if self._watch is None or self._watch.when() > soon:
            if self._watch is not None:
                self._watch.cancel()

            self._checked_at = now
            self._watch = self.loop.call_at(soon, self._check_silence)

    def _note_taken(self, now: float, end: int) -> None:
        """Note how much of large calls the peer has taken. end: up to where that counts for the oldest round trip.

        What has moved since the last check counts as moved right after that check. So nobody waits for longer than
        the timeout.
        """
        if self._taken < self._large_end:
            before = self._taken
            waiting = self._transport.get_write_buffer_size() + _unacknowledged_bytes(self._transport)
            self._taken = max(before, self._handed - waiting)

            if min(self._taken, end) > before:
                self.moved_at = max(self.moved_at, self._checked_at)

        self._checked_at = now

    def _interval(self, timeout: float) -> float:
        return min(CHECK_INTERVAL_S, timeout / 8)

    def _end(self, error: OSError) -> None:
        self.is_open = False
        self._unsent.clear()

        if self._watch is not None:
            self._watch.cancel()

        while self._round_trips:
            future, _, _, _ = self._round_trips.popleft()

            if not future.done():
                future.set_exception(error)


def _unacknowledged_bytes(transport: Any) -> int:
    """Bytes in the kernel that the peer has not taken yet; 0 where the system does not tell of sockets."""
    try:
        import fcntl  # noqa: PLC0415 - this module must be importable where fcntl is missing
        import termios  # noqa: PLC0415

        answer = fcntl.ioctl(transport.get_extra_info("socket").fileno(), termios.TIOCOUTQ, b"\0\0\0\0")
    except (ImportError, OSError):
        return 0

    return int(struct.unpack("i", answer)[0])
