"""Sharing: a way whose calls share round trips. What begins together is sent together.

A page asks for many things that do not depend on each other, in many places of its code. Each asks for itself, and
waits; those that wait at the same time have one round trip. So a page makes as many as its longest chain of
questions has links.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from aioq.store.net.command import Argument, Command
from aioq.store.net.subscription import Subscription
from aioq.store.net.tasks import see_end
from aioq.store.net.wire import Wire

if TYPE_CHECKING:
    from aioq.store.net.address import Address
    from aioq.store.net.ways import Way

#: A round trip begins when so many turns of the event loop have brought no further call. Tasks that were started
#: together, and those that they have started, all call within that.
QUIET_TURNS = 4


class _Part(NamedTuple):
    """A call that waits for the round trip: its commands, the seconds that it has left, and its answer."""

    commands: Sequence[Command]
    left: float
    answer: asyncio.Future[list[Any]]


class Sharing:
    """The way to a server or a Cluster, as another one leads there.

    Args:
        way: the other one. Whoever owns it closes it.

    """

    def __init__(self, way: Way) -> None:
        self.address: Address = way.address
        self.url = way.url
        self._way = way
        self._waiting: list[_Part] = []
        self._under_way: set[asyncio.Task[None]] = set()
        self._others: dict[int, tuple[Way, Sharing]] = {}  # the way keeps its id from being another's

    @property
    def opened(self) -> int:
        """Wires so far."""
        return self._way.opened

    @property
    def is_open(self) -> bool:
        """Whether there is a wire, or will soon be one."""
        return self._way.is_open

    async def round_trip(self, commands: Sequence[Command], left: float = math.inf) -> list[Any]:
        """One round trip, together with all who ask for one just now. As Node.round_trip."""
        loop = asyncio.get_running_loop()
        part = _Part(commands, left, loop.create_future())
        self._waiting.append(part)

        if len(self._waiting) == 1:
            loop.call_soon(self._look, loop, 1, 0)

        return await part.answer

    async def nodes(self) -> Sequence[Way]:
        """The ways to the single servers that have keys."""
        return [self._of(each) for each in await self._way.nodes()]

    async def by_server(self, keys: Sequence[Argument]) -> Sequence[tuple[Way, list[int]]]:
        """The positions of keys, each with the way to their server."""
        return [(self._of(each), mine) for each, mine in await self._way.by_server(keys)]

    async def open_wire(self, patience: float, key: Argument) -> Wire:
        """A wire of one's own to the server that has a key."""
        return await self._way.open_wire(patience, key)

    async def open_subscription(self, hear: Callable[[Any], None]) -> Subscription:
        """A connection that hears what is published."""
        return await self._way.open_subscription(hear)

    async def aclose(self) -> None:
        """Nothing: the other way is closed by its owner."""

    def _of(self, way: Way) -> Sharing:
        """The same for a server of a Cluster; this one, if there is only one server."""
        if way is self._way:
            return self

        known = self._others.get(id(way))

        if known is None or known[0] is not way:
            known = self._others[id(way)] = way, Sharing(way)

        return known[1]

    def _look(self, loop: asyncio.AbstractEventLoop, seen: int, quiet: int) -> None:
        """Send what waits when nobody has come for some turns."""
        quiet = quiet + 1 if len(self._waiting) == seen else 0

        if quiet < QUIET_TURNS:
            loop.call_soon(self._look, loop, len(self._waiting), quiet)
            return

        parts = [each for each in self._waiting if not each.answer.done()]
        self._waiting = []
        task = loop.create_task(self._send(parts))
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)
        task.add_done_callback(see_end)

    async def _send(self, parts: Sequence[_Part]) -> None:
        if not parts:
            return

        try:
            commands = [command for part in parts for command in part.commands]
            replies = iter(await self._way.round_trip(commands, max(part.left for part in parts)))
        except Exception as error:  # noqa: BLE001 - it is raised to every caller
            for part in parts:
                if not part.answer.done():
                    part.answer.set_exception(error)
        else:
            for part in parts:
                answers = [next(replies) for _ in part.commands]

                if not part.answer.done():
                    part.answer.set_result(answers)
        finally:
            for part in parts:
                part.answer.cancel()  # this task was cancelled, since the event loop ends
