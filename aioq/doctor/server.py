"""Server settings that endanger the stored data."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Literal, NamedTuple

from aioq.store import Connection
from aioq.store.server import ServerFacts, read_server
from aioq.values.errors import ServerUnreachable

Level = Literal["ok", "unknown", "warning", "problem"]

#: The shares of its memory limit from which a server's use of memory is a warning and a problem.
FULL_SOON, FULL = 0.8, 0.95

#: A round trip longer than the first, in ms, costs speed; one longer than the second endangers leases.
SLOW_MS, TOO_SLOW_MS = 10.0, 500.0

#: Scripts take some ms. A server that answers BUSY after less than this, in ms, refuses calls for no reason.
SHORT_MS = 500


class Setting(NamedTuple):
    """One setting or fact, and what it endangers.

    Args:
        name: what it is.
        level: ok, unknown (the server does not tell), warning (an accident may lose data) or problem (jobs are
            lost or refused now).
        value: the server's value.
        words: for a warning or problem, what it endangers and the fix.
        server: the server's address in a Cluster; "" for a single server.

    """

    name: str
    level: Level
    value: str
    words: str = ""
    server: str = ""


async def examine_server(connection: Connection) -> list[Setting]:
    """Look at the settings of a server, or of each primary of a Cluster. Nothing is written.

    Raises:
        ServerError: the single server, or every server of the Cluster, cannot be reached.

    """
    if not connection.is_cluster:
        return list(judge(await read_server(connection)))

    found = await asyncio.gather(*(_examine_one(server) for server in await connection.servers()))

    return [setting for settings in found for setting in settings]


async def _examine_one(server: Connection) -> list[Setting]:
    """The settings of one server of a Cluster. An unreachable server has a problem instead of settings."""
    name = server.url.partition("://")[2]

    try:
        return [setting._replace(server=name) for setting in judge(await read_server(server))]
    except ServerUnreachable as error:
        words = "Its queues cannot be used until it is back, or until a replica has taken over."
        return [Setting("connection", "problem", str(error), words, name)]


def judge(facts: ServerFacts) -> Iterator[Setting]:
    """What the facts of a server mean for jobs."""
    yield _version(facts)
    yield _role(facts)
    yield _eviction(facts)
    yield _memory(facts)
    yield _persistence(facts)
    yield _writes(facts)
    yield _replicas(facts)
    yield _script_limit(facts)
    yield _round_trip(facts)
    yield _cluster(facts)


def _version(facts: ServerFacts) -> Setting:
    if not facts.version:
        return _unknown("version")

    value = f"{facts.kind} {facts.version}"

    if facts.is_old:
        words = "Scripts use commands that it does not have. Use redis 6.2 or valkey 7.2, or later."
        return Setting("version", "problem", value, words)

    return Setting("version", "ok", value)


def _role(facts: ServerFacts) -> Setting:
    role = facts.info.get("role")

    if role is None:
        return _unknown("role")

    if role not in ("master", "primary"):
        words = "A replica refuses writes, or loses them. Use the URL of the primary."
        return Setting("role", "problem", role, words)

    return Setting("role", "ok", role)


def _eviction(facts: ServerFacts) -> Setting:
    policy = facts.info.get("maxmemory_policy") or facts.config.get("maxmemory-policy")
    evicted = int(facts.info.get("evicted_keys", 0))

    if policy is None:
        return _unknown("maxmemory-policy")

    if policy != "noeviction":
        limited = facts.info.get("maxmemory", "0") != "0"
        when = "The server deletes jobs" if limited else "Once a maxmemory is set, the server deletes jobs"
        words = f"{when} when its memory is full. Set maxmemory-policy to noeviction."
        return Setting("maxmemory-policy", "problem" if limited else "warning", policy, words)

    if evicted:
        words = f"It has evicted {evicted} keys since it was started, under an earlier policy: look for lost jobs."
        return Setting("maxmemory-policy", "warning", policy, words)

    return Setting("maxmemory-policy", "ok", policy)


def _memory(facts: ServerFacts) -> Setting:
    if "used_memory" not in facts.info:
        return _unknown("memory")

    used, limit = int(facts.info["used_memory"]), int(facts.info.get("maxmemory", 0))

    if not limit:
        return Setting("memory", "ok", f"{_mib(used)}, no limit")

    value = f"{_mib(used)} of {_mib(limit)}"
    fix = "Raise maxmemory, shorten retentions, or add workers."

    if used > limit * FULL:
        return Setting("memory", "problem", value, f"New jobs are refused, or soon will be. {fix}")

    if used > limit * FULL_SOON:
        return Setting("memory", "warning", value, f"When it is full, new jobs are refused. {fix}")

    return Setting("memory", "ok", value)


def _persistence(facts: ServerFacts) -> Setting:
    appends, fsync = facts.config.get("appendonly"), facts.config.get("appendfsync")

    if appends is None and "aof_enabled" in facts.info:
        appends = "yes" if facts.info["aof_enabled"] == "1" else "no"

    if appends is None:
        return _unknown("persistence")

    if appends == "no":
        saves = facts.config.get("save")
        loss = "everything" if saves == "" else "what came after its last snapshot"
        words = f"A restart of the server loses {loss}. Set appendonly to yes."
        return Setting("persistence", "warning", "appendonly no", words)

    if fsync == "no":
        words = "A crash of the machine may lose the last half minute. Set appendfsync to everysec or always."
        return Setting("persistence", "warning", "appendonly yes, appendfsync no", words)

    return Setting("persistence", "ok", f"appendonly yes, appendfsync {fsync or 'not readable'}")


def _writes(facts: ServerFacts) -> Setting:
    states = {name: facts.info.get(name) for name in ("aof_last_write_status", "rdb_last_bgsave_status")}

    if not any(states.values()):
        return _unknown("writes to disk")

    failed = [name for name, state in states.items() if state == "err"]

    if failed:
        words = "The server cannot write to its disk, and may refuse all changes. Look at its log and its disk."
        return Setting("writes to disk", "problem", f"{failed[0]} err", words)

    return Setting("writes to disk", "ok", "ok")


def _replicas(facts: ServerFacts) -> Setting:
    count, needed = facts.info.get("connected_slaves"), facts.config.get("min-replicas-to-write")

    if count is None or needed is None:
        return _unknown("min-replicas-to-write")

    value = f"{needed}, {count} connected"

    if count != "0" and needed == "0":
        words = "A primary that is cut off takes jobs that a failover throws away. Set min-replicas-to-write to 1."
        return Setting("min-replicas-to-write", "warning", value, words)

    return Setting("min-replicas-to-write", "ok", value)


def _script_limit(facts: ServerFacts) -> Setting:
    limit = facts.config.get("busy-reply-threshold") or facts.config.get("lua-time-limit")

    if limit is None:
        return _unknown("busy-reply-threshold")

    if 0 < int(limit) < SHORT_MS:
        words = "The server answers BUSY while a script runs, and calls are repeated in vain. Set it to 5000."
        return Setting("busy-reply-threshold", "warning", f"{limit} ms", words)

    return Setting("busy-reply-threshold", "ok", f"{limit} ms")


def _round_trip(facts: ServerFacts) -> Setting:
    value = f"{facts.rtt_ms:.2f} ms"

    if facts.rtt_ms > TOO_SLOW_MS:
        words = "Workers may lose their leases while they live, and jobs run twice. Move closer to the server."
        return Setting("round trip", "problem", value, words)

    if facts.rtt_ms > SLOW_MS:
        return Setting("round trip", "warning", value, "Each job waits for it. Move closer to the server.")

    return Setting("round trip", "ok", value)


def _cluster(facts: ServerFacts) -> Setting:
    enabled = facts.info.get("cluster_enabled")

    if enabled is None:
        return _unknown("cluster")

    if enabled == "1" and facts.config.get("cluster-require-full-coverage") == "yes":
        words = "While one shard is away, all others refuse calls, too. Set cluster-require-full-coverage to no."
        return Setting("cluster", "warning", "yes", words)

    return Setting("cluster", "ok", "yes" if enabled == "1" else "no")


def _unknown(name: str) -> Setting:
    return Setting(name, "unknown", "not readable")


def _mib(size: int) -> str:
    return f"{size / 2**20:.0f} MiB"
