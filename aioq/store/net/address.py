"""Address: how servers are reached: one, the primary that sentinels name, or those of a Cluster.

redis-py makes the connections: hosts, TLS, credentials and databases are its business.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Any, Protocol, Self

import redis.asyncio.sentinel as redis_sentinel
from redis.asyncio import BlockingConnectionPool
from redis.asyncio.connection import AbstractConnection, SSLConnection, UnixDomainSocketConnection
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from aioq.store.net.place import Place, spelled
from aioq.store.net.sentinels import Asked, Sentinels

#: A server that does not take a connection within this many seconds is away.
CONNECT_TIMEOUT_S = 5.0


class Provider(Protocol):
    """What a provider of a scheme returns: a share in a server, which runs as long as anyone has one.

    url: where it listens. name: the URL that names it from everywhere on this machine.
    """

    url: str
    name: str

    @property
    def is_open(self) -> bool:
        """Whether the share is held."""

    def close(self) -> None:
        """Give the share up."""

    def reopen(self) -> None:
        """Take the share again, if it was given up. It waits until the server answers."""

    def another(self) -> Provider:
        """A share in the same server, which is taken by `reopen`."""


class _Provided(UnixDomainSocketConnection):
    """Takes the share in its server again before it connects, if that was given up."""

    def __init__(self, *, provider: Provider, **options: Any) -> None:
        super().__init__(**options)
        self._provider = provider

    async def _connect(self) -> None:
        if not self._provider.is_open:
            await asyncio.to_thread(self._provider.reopen)  # the server may have to be started

        await super()._connect()


@dataclass(frozen=True, slots=True)
class Address:
    """How a server is reached.

    Args:
        url: names it in errors and logs; it has no passwords.
        connection_class: of redis-py's connections for an event loop, as they would reach one server.
        kwargs: what they are made with.
        sentinels: who knows the primary, if it may be another one each time.
        seeds: some servers of a Cluster; () for a server that stands alone.
        has_others: another server may take over when this one is silent.
        provider: the share in a server that is started for whoever uses it.

    """

    url: str
    connection_class: type[Any]
    kwargs: Mapping[str, Any] = field(repr=False)  # it has passwords
    sentinels: Sentinels | None = None
    seeds: tuple[Place, ...] = ()
    has_others: bool = False
    provider: Provider | None = None

    @property
    def place(self) -> tuple[object, ...]:
        """What two addresses of the same data have in common, as far as it can be told without asking."""
        if self.seeds:
            return (frozenset(self.seeds),)

        host = self.kwargs.get("path") or (self.kwargs.get("host", "localhost"), self.kwargs.get("port", 6379))
        where = host if self.sentinels is None else (frozenset(self.sentinels.places), self.sentinels.service)

        return where, self.kwargs.get("db") or 0

    @property
    def named(self) -> Place | None:
        """The primary that sentinels named last; None if there are no sentinels."""
        return self.sentinels.named if self.sentinels is not None else None

    def sibling(self) -> Self:
        """The same address for another user, with a share of its own."""
        return self if self.provider is None else replace(self, provider=self.provider.another())

    @property
    def socket_timeout(self) -> float | None:
        """The caller's own limit for a reply, in seconds; None if the caller has set none."""
        return self.kwargs.get("socket_timeout") or None

    def at(self, place: Place) -> Self:
        """The address of one server of a Cluster."""
        host, port = place
        scheme = "rediss" if issubclass(self.connection_class, SSLConnection) else "redis"

        return replace(
            self, url=f"{scheme}://{spelled(place)}", kwargs={**self.kwargs, "host": host, "port": port}, seeds=()
        )

    def connection(self, **options: Any) -> AbstractConnection:
        """A connection for the running event loop; it connects when it is told to."""
        connection: AbstractConnection = self.pool(**options).make_connection()

        return connection

    def pool(self, **options: Any) -> BlockingConnectionPool:
        kwargs = {"socket_connect_timeout": CONNECT_TIMEOUT_S, **with_driver(_portable(self.kwargs))}
        kwargs |= {"decode_responses": False, "protocol": 2, "retry": Retry(NoBackoff(), 0)}
        kwargs |= {"socket_keepalive": True, **options}
        connection_class = self.connection_class

        if "path" in kwargs:
            kwargs.pop("socket_keepalive")

        if self.sentinels is not None:
            is_tls = issubclass(connection_class, SSLConnection)
            plain, tls = redis_sentinel.SentinelManagedConnection, redis_sentinel.SentinelManagedSSLConnection
            connection_class = tls if is_tls else plain
            kwargs["connection_pool"] = Asked(self.sentinels)

        if self.provider is not None:
            connection_class, kwargs["provider"] = _Provided, self.provider

        return BlockingConnectionPool(connection_class=connection_class, timeout=None, **kwargs)


def with_driver(kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """Options of a connection, with what redis-py tells the server of itself, unless they say it.

    Its later versions would read that from the files of their installation for each connection.
    """
    says_it = kwargs.keys() & {"driver_info", "lib_name", "lib_version"}

    return {**kwargs} if says_it else {**_driver(), **kwargs}


@cache
def _driver() -> dict[str, Any]:
    try:
        from redis.driver_info import DriverInfo  # noqa: PLC0415 - earlier versions do not have it
    except ImportError:
        return {}

    return {"driver_info": DriverInfo()}


def _portable(kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """Options that any client of the same server can be made with; what belongs to one pool is left out."""
    own = (
        "retry",
        "himport_registry",
        "maint_notifications_config",
        "event_dispatcher",
        "oss_cluster_maint_notifications_handler",
    )

    return {name: value for name, value in kwargs.items() if name not in own and not name.startswith("maint")}
