"""Settings of a server, on a server of the test's own and as facts."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from aioq import Connection
from aioq.doctor import Setting, examine_server
from aioq.doctor.server import judge
from aioq.store.server import ServerFacts
from tests.conftest import Server

FACTS = ServerFacts(
    "valkey",
    "9.0.0",
    False,
    {
        "role": "master",
        "maxmemory_policy": "noeviction",
        "maxmemory": "0",
        "used_memory": "1000000",
        "evicted_keys": "0",
        "aof_enabled": "1",
        "aof_last_write_status": "ok",
        "rdb_last_bgsave_status": "ok",
        "connected_slaves": "0",
        "cluster_enabled": "0",
    },
    {
        "appendonly": "yes",
        "appendfsync": "everysec",
        "save": "",
        "min-replicas-to-write": "0",
        "busy-reply-threshold": "5000",
    },
    0.2,
)


def judged(facts: ServerFacts) -> dict[str, Setting]:
    return {each.name: each for each in judge(facts)}


def changed(**parts: object) -> dict[str, Setting]:
    """What is judged otherwise than on a good server; `info` and `config` are merged."""
    info = FACTS.info | parts.pop("info", {})
    config = FACTS.config | parts.pop("config", {})
    good, found = judged(FACTS), judged(FACTS._replace(info=info, config=config, **parts))

    return {name: each for name, each in found.items() if each.level != good[name].level}


def test_a_good_server_is_good() -> None:
    assert {each.level for each in judge(FACTS)} == {"ok"}
    assert not any(each.words for each in judge(FACTS))


@pytest.mark.parametrize(
    ("name", "level", "parts"),
    [
        ("version", "problem", {"is_old": True}),
        ("role", "problem", {"info": {"role": "slave"}}),
        ("maxmemory-policy", "warning", {"info": {"maxmemory_policy": "allkeys-lru"}}),
        ("maxmemory-policy", "problem", {"info": {"maxmemory_policy": "allkeys-lru", "maxmemory": "9000000"}}),
        ("maxmemory-policy", "warning", {"info": {"evicted_keys": "3"}}),
        ("memory", "warning", {"info": {"maxmemory": "1200000"}}),
        ("memory", "problem", {"info": {"maxmemory": "1010000"}}),
        ("persistence", "warning", {"config": {"appendonly": "no"}}),
        ("persistence", "warning", {"config": {"appendonly": "no", "save": "3600 1"}}),
        ("persistence", "warning", {"config": {"appendfsync": "no"}}),
        ("writes to disk", "problem", {"info": {"aof_last_write_status": "err"}}),
        ("min-replicas-to-write", "warning", {"info": {"connected_slaves": "1"}}),
        ("busy-reply-threshold", "warning", {"config": {"busy-reply-threshold": "20"}}),
        (
            "cluster",
            "warning",
            {"info": {"cluster_enabled": "1"}, "config": {"cluster-require-full-coverage": "yes"}},
        ),
        ("round trip", "warning", {"rtt_ms": 30.0}),
        ("round trip", "problem", {"rtt_ms": 900.0}),
    ],
)
def test_what_endangers_data_is_named_with_its_fix(name: str, level: str, parts: dict[str, object]) -> None:
    (found,) = changed(**parts).values()
    assert (found.name, found.level) == (name, level)
    assert found.words.endswith(".")


def test_what_a_server_does_not_tell_is_not_readable() -> None:
    found = judged(FACTS._replace(version="", info={}, config={}))
    assert {each.level for name, each in found.items() if name != "round trip"} == {"unknown"}
    assert {each.value for each in found.values() if each.level == "unknown"} == {"not readable"}


def test_settings_that_only_config_has_are_not_readable_where_it_is_forbidden() -> None:
    found = judged(FACTS._replace(config={}))
    unknown = {name for name, each in found.items() if each.level == "unknown"}
    assert unknown == {"min-replicas-to-write", "busy-reply-threshold"}
    assert found["persistence"].value == "appendonly yes, appendfsync not readable"


async def look(url: str) -> dict[str, Setting]:
    connection = Connection(url)

    try:
        return {each.name: each for each in await examine_server(connection)}
    finally:
        await connection.aclose()


async def test_a_real_server(own_server: Callable[..., Server]) -> None:
    server = own_server("--appendonly", "yes")
    found = await look(server.url)
    assert {each.level for each in found.values()} == {"ok"}, found
    assert found["version"].value.startswith("valkey ")

    with server.client() as client:
        client.config_set("appendonly", "no")
        client.config_set("maxmemory", "100mb")
        client.config_set("maxmemory-policy", "allkeys-random")
        client.config_set("busy-reply-threshold", 10)

    found = await look(server.url)
    assert {name: each.level for name, each in found.items() if each.level != "ok"} == {
        "persistence": "warning",
        "maxmemory-policy": "problem",
        "busy-reply-threshold": "warning",
    }

    with server.client() as client:
        client.config_set("maxmemory", client.info("memory")["used_memory"])

    assert (await look(server.url))["memory"].level == "problem"


async def test_a_replica(own_server: Callable[..., Server]) -> None:
    primary = own_server()
    replica = own_server("--replicaof", f"127.0.0.1 {primary.port}")
    assert (await look(replica.url))["role"].level == "problem"


@pytest.mark.parametrize("hidden", ["-config", "-config -info"])
async def test_a_server_that_hides_its_settings(hidden: str, own_server: Callable[..., Server]) -> None:
    server = own_server()

    with server.client() as client:
        client.execute_command("ACL", "SETUSER", "default", *hidden.split())

    found = await look(server.url)
    assert found["min-replicas-to-write"].level == "unknown"
    assert found["round trip"].level == "ok"
    assert (found["version"].level == "unknown") == ("-info" in hidden)
