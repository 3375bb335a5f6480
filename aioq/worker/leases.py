"""Leases: a worker's leases on some queues, renewed in one round trip."""

from __future__ import annotations

from collections.abc import Sequence

from aioq.store.connection import Connection
from aioq.store.duty import read_beat
from aioq.store.net.command import Command
from aioq.store.store import Store
from aioq.values.beat import Beat
from aioq.values.errors import ServerError
from aioq.worker.figures import Figures


class Leases:
    """The leases that one heartbeat keeps. They have a connection of their own.

    Args:
        connection: the worker's. It stays open until this is closed.
        stores: the queues. There may be none: then only other commands are sent.
        worker: the name of the worker.
        lease_ms: how long the worker is believed to be alive after a beat.
        figures: what the worker has counted of these queues; it is sent along from time to time.

    """

    def __init__(
        self,
        connection: Connection,
        stores: Sequence[Store],
        worker: str,
        lease_ms: int,
        figures: Sequence[Figures] = (),
    ) -> None:
        # A beat that takes longer than half a lease is better given up and sent again.
        self._connection = connection.companion(lease_ms / 2000)
        self._figures = figures
        self._has_failed = False
        self._commands = [store.duty.beat_command(worker, lease_ms) for store in stores]

    async def renew(self, others: Sequence[Command] = ()) -> list[Beat]:
        """Renew the lease on each queue, in one round trip. The server may refuse `others`, which are sent along.

        Raises:
            ServerError: the server cannot be reached, or refuses all.

        """
        commands = [*self._commands, *others]

        if not commands:
            return []

        # A server whose memory is full refuses to describe the worker, and renews the leases all the same. A call
        # that has failed goes again without the figures, which may have been the reason.
        tallies = [] if self._has_failed else self._tallies()
        self._has_failed = True
        found = await self._connection.each([*commands, *(command for _, command in tallies)])
        self._has_failed = False

        for (figures, _), reply in zip(tallies, found[len(commands) :], strict=False):
            figures.confirm(reply)

        replies = found[: len(self._commands)]
        errors = [reply for reply in replies if isinstance(reply, ServerError)]

        # What is refused for one queue (a key of another type, a missing right) ends no lease on the others.
        if errors and len(errors) == len(replies):
            raise errors[0]

        return [_read(reply) for reply in replies]

    def _tallies(self) -> list[tuple[Figures, Command]]:
        """The calls that tell what was counted, as far as it is time for them."""
        found = [(figures, figures.command()) for figures in self._figures]

        return [(figures, command) for figures, command in found if command is not None]

    async def aclose(self) -> None:
        """Close the connection. The next call opens another one."""
        await self._connection.aclose()


def _read(reply: object) -> Beat:
    return Beat(False, -1, []) if isinstance(reply, ServerError) else read_beat(reply)
