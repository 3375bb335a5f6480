"""Pulse: renews a worker's leases from a thread, beside the event loop."""

from __future__ import annotations

from collections.abc import Sequence

from aioq.store.connection import Connection
from aioq.store.duty import read_beat
from aioq.store.net.command import Command
from aioq.store.net.translation import translated
from aioq.store.store import Store
from aioq.values.beat import Beat


class Pulse:
    """The calls of one heartbeat thread, on its own connection.

    Args:
        connection: names the server.
        stores: queues that the worker serves; none, if only others travel.
        worker: its name.
        lease_ms: how long it is believed alive after a beat.

    """

    def __init__(self, connection: Connection, stores: Sequence[Store], worker: str, lease_ms: int) -> None:
        self._url = connection.url
        # A beat that takes longer than half a lease is better given up and tried again.
        self._way = connection.for_thread(lease_ms / 2000)
        self._commands = [store.duty.beat_command(worker, lease_ms) for store in stores]

    def beat(self, others: Sequence[Command] = ()) -> list[Beat]:
        """Renew the lease on each queue, in one round trip; `others` travel along, and may be refused.

        Raises:
            ServerError: the server cannot be reached, or refuses.

        """
        commands = [*self._commands, *others]

        if not commands:
            return []

        # A server whose memory is full refuses to describe the worker; the leases are no less renewed.
        replies = self._way.trip(commands)[: len(self._commands)]
        errors = [reply for reply in replies if isinstance(reply, Exception)]

        # What is refused for one queue (a key of another type, a missing right) must not end the leases on the
        # others.
        if errors and len(errors) == len(replies):
            with translated(self._url):
                raise errors[0]

        return [_beat(reply) for reply in replies]

    def close(self) -> None:
        """Close the connection. The next beat opens a new one."""
        self._way.close()


def _beat(reply: object) -> Beat:
    return Beat(False, -1, []) if isinstance(reply, Exception) else read_beat(reply)
