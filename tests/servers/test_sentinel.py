"""The scene itself, by redis-py alone: what it breaks is broken, and is whole again."""

from __future__ import annotations

import pytest
import redis
from redis.sentinel import Sentinel

from tests.tools import eventually

from .node import PASSWORD, safely
from .sentinel import SERVICE, SentinelTrio


def finder(scene: SentinelTrio) -> Sentinel:
    """redis-py's own way by the sentinels."""
    addresses = [("127.0.0.1", node.port) for node in scene.sentinels]
    more = {"sentinel_kwargs": scene.access.options("finder"), **scene.access.options("worker")}

    return Sentinel(addresses, **more)


async def keep(scene: SentinelTrio, value: str) -> set[str]:
    """Write a value; gives all that are kept. Sentinels need a moment after a failover until they agree."""

    def write() -> set[str]:
        with finder(scene).master_for(SERVICE, decode_responses=True) as client:
            client.hset("aioq:kept", value, "here")

            return set(client.hgetall("aioq:kept"))

    return await eventually(safely(write), describe=f"{value} is written")


async def test_a_planned_failover_keeps_all() -> None:
    async with SentinelTrio() as scene:
        old = scene.primary()
        await keep(scene, "before")
        new = await scene.failover()
        assert new is scene.primary() is not old
        assert await keep(scene, "after") == {"before", "after"}
        await scene.healthy()
        assert old in scene.replicas()


@pytest.mark.chaos
async def test_who_kills_the_primary_gets_another_one() -> None:
    async with SentinelTrio({"appendonly": "yes"}) as scene:
        await keep(scene, "before")

        with scene.admin() as client:
            assert client.wait(2, 2000) == 2

        old = scene.kill_primary()
        new = await scene.another_than(old)
        assert new is not old
        assert await keep(scene, "after") == {"before", "after"}


@pytest.mark.chaos
@pytest.mark.timeout(180)
async def test_a_primary_that_is_cut_off_or_was_frozen_or_killed_comes_back_as_a_replica() -> None:
    async with SentinelTrio({"appendonly": "yes"}, min_replicas=1, secured=True) as scene:
        old = scene.kill_primary()
        await scene.another_than(old)
        await scene.restart(old)
        await scene.healthy()

        frozen = scene.freeze_primary()
        assert await scene.another_than(frozen) is not frozen
        await scene.restart(frozen)
        await scene.healthy()

        alone = scene.primary()
        scene.cut_off(alone)
        assert await scene.another_than(alone) is not alone
        assert alone.replication()["role"] == "master"
        assert alone.replication()["connected_slaves"] == "0"

        with alone.client("worker") as client, pytest.raises(redis.ResponseError, match="NOREPLICAS"):
            client.hset("aioq:kept", "refused", "here")

        scene.rejoin(alone)
        await scene.healthy()
        assert alone in scene.replicas()


@pytest.mark.chaos
async def test_tls_and_users(tls: None) -> None:
    async with SentinelTrio(tls=True, secured=True) as scene:
        assert scene.url("worker").startswith(f"rediss+sentinel://worker:{PASSWORD}@127.0.0.1:")
        await keep(scene, "before")
        old = scene.primary()
        await scene.failover(planned=False)
        assert "after" in await keep(scene, "after")

        with redis.Redis(port=old.port) as plain, pytest.raises(redis.ConnectionError):
            plain.ping()

        with old.client("worker") as worker, pytest.raises(redis.exceptions.NoPermissionError):
            worker.flushall()
