"""Ways: what a connection needs to know of servers and of the way to them.

redis-py is loaded here, when it is needed first: to import it takes longer than to import aioq.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Protocol, Union

from aioq.store.net.command import Argument, Command
from aioq.store.net.subscription import Subscription
from aioq.store.net.wire import Wire

if TYPE_CHECKING:
    from redis.asyncio import Redis, RedisCluster

    from aioq.store.net.address import Address
    from aioq.store.net.slots import SlotMap

#: What a user names a server by: a URL, a client that the user owns, or None for the environment's URL.
Server = Union[str, "Redis", "RedisCluster", None]


class Way(Protocol):
    """The way to one server, or to all of a Cluster, for one event loop: a Node or a Cluster."""

    address: Address
    url: str

    @property
    def opened(self) -> int:
        """Wires so far."""

    @property
    def is_open(self) -> bool:
        """Whether there is a wire, or will soon be one."""

    async def round_trip(self, commands: Sequence[Command], left: float = math.inf) -> list[Any]:
        """One round trip. As Node.round_trip."""

    async def nodes(self) -> Sequence[Way]:
        """The ways to the single servers that have keys."""

    async def by_server(self, keys: Sequence[Argument]) -> Sequence[tuple[Way, list[int]]]:
        """The positions of keys, each with the way to their server. Keys that no server has go to this way."""

    async def open_wire(self, patience: float, key: Argument) -> Wire:
        """A wire of one's own to the server that has a key."""

    async def open_subscription(self, hear: Callable[[Any], None]) -> Subscription:
        """A connection that hears what is published."""

    async def aclose(self) -> None:
        """Close all that is open."""


def address_of(source: object) -> Address:
    """The address that a URL or a client names. As source.address_of."""
    from aioq.store.net import source as sources  # noqa: PLC0415 - see above

    return sources.address_of(source)


def check_server(source: object) -> None:
    """Refuse what names no server. As source.check_server."""
    from aioq.store.net import source as sources  # noqa: PLC0415 - see above

    sources.check_server(source)


def slots_of(address: Address) -> SlotMap | None:
    """A new map of the slots of a Cluster; None for a server that stands alone."""
    from aioq.store.net.slots import SlotMap  # noqa: PLC0415 - see above

    return SlotMap(address.url, address.seeds) if address.seeds else None


def way_to(address: Address, slots: SlotMap | None, timeout: float) -> Way:
    """The way to an address for the running event loop, not open yet.

    Args:
        address: of one server, or of a Cluster.
        slots: the map of the Cluster; None for a server that stands alone.
        timeout: seconds without a moving byte after which an attempt is given up.

    """
    from aioq.store.net.cluster import Cluster  # noqa: PLC0415 - see above
    from aioq.store.net.node import Node  # noqa: PLC0415

    return Node(address, timeout) if slots is None else Cluster(address, slots, timeout)
