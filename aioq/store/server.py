"""What a server tells of itself: its facts, its settings, and how long a round trip takes."""

from __future__ import annotations

import time
from typing import NamedTuple

from aioq.store.connection import Connection
from aioq.store.net.info import OLDEST, facts_of, version_of
from aioq.store.net.tasks import all_settled
from aioq.values.errors import ServerError, ServerUnreachable

#: Settings that matter to stored jobs.
SETTINGS = (
    "maxmemory-policy",
    "appendonly",
    "appendfsync",
    "save",
    "min-replicas-to-write",
    "busy-reply-threshold",
    "lua-time-limit",
    "cluster-require-full-coverage",
)

#: Round trips that are timed.
PINGS = 21


class ServerFacts(NamedTuple):
    """A server at one moment.

    Args:
        kind: redis or valkey.
        version: as the server says it.
        is_old: whether aioq needs a later one.
        info: the reply to INFO; empty if the server does not give it.
        config: the settings that can be read; a managed server may hide all of them.
        rtt_ms: the median of some round trips, in ms.

    """

    kind: str
    version: str
    is_old: bool
    info: dict[str, str]
    config: dict[str, str]
    rtt_ms: float


async def read_server(connection: Connection) -> ServerFacts:
    """Ask a server for its facts.

    Raises:
        ServerError: it cannot be reached, or refuses even a PING.

    """
    times = []

    for _ in range(PINGS):
        begun = time.perf_counter()
        await connection.call(("PING",))
        times.append((time.perf_counter() - begun) * 1000)

    info = await _info(connection)
    kind, version, numbers = version_of(info)
    config = {name: value for name in SETTINGS if (value := await _setting(connection, name)) is not None}

    return ServerFacts(
        kind, version, bool(numbers) and numbers < OLDEST[kind], info, config, sorted(times)[PINGS // 2]
    )


async def read_evictions(connection: Connection) -> list[tuple[str, str]]:
    """The servers that delete keys when their memory is full, as far as they tell: URL and maxmemory-policy.

    Raises:
        ServerError: the only server cannot be reached. One of a Cluster that is away tells nothing.

    """
    servers = await connection.servers()
    infos = await all_settled(_info(each, "memory") for each in servers)
    found = []

    for server, info in zip(servers, infos, strict=True):
        if isinstance(info, BaseException):
            if not (connection.is_cluster and isinstance(info, ServerUnreachable)):
                raise info

            continue

        policy = info.get("maxmemory_policy", "noeviction")

        if policy != "noeviction" and info.get("maxmemory", "0") != "0":
            found.append((server.url, policy))

    return found


async def _info(connection: Connection, *sections: str) -> dict[str, str]:
    try:
        return facts_of(await connection.call(("INFO", *sections)))
    except ServerUnreachable:
        raise
    except ServerError:
        return {}


async def _setting(connection: Connection, name: str) -> str | None:
    """A setting; None if the server does not have it, or does not tell."""
    try:
        pair = await connection.call(("CONFIG", "GET", name))
    except ServerUnreachable:
        raise
    except ServerError:
        return None

    return pair[1].decode() if len(pair) == 2 else None
