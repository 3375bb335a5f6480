"""LoopConnection: what a connection has in one event loop."""

from __future__ import annotations

from weakref import WeakSet

from aioq.store.net.command import Argument
from aioq.store.net.listener import Listener
from aioq.store.net.refusals import unreachable
from aioq.store.net.ways import Way
from aioq.store.net.wire import Wire


class LoopConnection:
    """The way to the server, the subscription, and the wires that were lent.

    Args:
        way: the way to the server, for this loop.

    """

    __slots__ = ("_closes", "_lent", "listener", "way")

    def __init__(self, way: Way) -> None:
        self.way = way
        self.listener = Listener(way.url, way.open_subscription)
        self._lent: WeakSet[Wire] = WeakSet()
        self._closes = 0  # so far

    async def lend_wire(self, patience: float, key: Argument) -> Wire:
        """A wire of one's own. It is closed with this.

        Args:
            patience: seconds without a moving byte after which a call on it fails.
            key: what the commands are about.

        """
        closes = self._closes
        wire = await self.way.open_wire(patience, key)
        self._lent.add(wire)

        if self._closes != closes:
            error = ConnectionResetError("it was closed meanwhile")
            wire.abort(error)
            raise unreachable(self.way.url, error)

        return wire

    async def aclose(self) -> None:
        """Close all of it; what is used again opens again."""
        self._closes += 1
        await self.listener.aclose()
        await self.way.aclose()

        for wire in list(self._lent):
            await wire.aclose()

        self._lent.clear()
