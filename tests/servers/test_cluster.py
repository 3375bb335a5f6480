"""The scene itself, by redis-py alone: what it breaks is broken, and is whole again."""

from __future__ import annotations

import asyncio

import pytest
import redis
from redis.cluster import ClusterNode, RedisCluster

from .cluster import SLOTS, ClusterOfSix, Member, slot_of
from .node import PASSWORD


def client(scene: ClusterOfSix, user: str = "default") -> RedisCluster:
    nodes = [ClusterNode("127.0.0.1", node.port) for node in scene.nodes[:2]]

    return RedisCluster(startup_nodes=nodes, decode_responses=True, **scene.access.options(user))


def write(scene: ClusterOfSix, queue: str, *fields: str) -> None:
    with client(scene) as through:
        for field in fields:
            through.hset(f"aioq:{{{queue}}}:job:{field}", "field", field)


def read(scene: ClusterOfSix, queue: str) -> set[str]:
    with client(scene) as through:
        return {key.rpartition(":")[2] for key in through.scan_iter(f"aioq:{{{queue}}}:job:*")}


def test_the_owners_of_slots_are_read_without_slots_that_move() -> None:
    line = "07c3 127.0.0.1:30004@31004,,shard-id=9 myself,master - 0 1426 4 connected 0-99 5461 [93-<-292f]"
    assert Member.read(line) == Member(
        "07c3", 30004, frozenset({"myself", "master"}), "-", (range(100), range(5461, 5462))
    )


async def test_a_slot_moves_key_by_key_and_as_a_whole() -> None:
    async with ClusterOfSix() as scene:
        one, two, three = scene.queues()
        homes = [scene.node_of(name) for name in (one, two, three)]
        assert len(set(homes)) == 3
        assert sorted(scene.primaries(), key=repr) == sorted(homes, key=repr)
        assert sum(len(some) for each in scene.members() if each.is_primary for some in each.slots) == SLOTS

        numbers = [str(number) for number in range(30)]
        await asyncio.to_thread(write, scene, one, *numbers)
        counts = []

        def halfway() -> None:
            counts.extend(node.call("CLUSTER", "COUNTKEYSINSLOT", slot_of(one)) for node in homes[:2])
            write(scene, one, "meanwhile")

        await scene.migrate_slot(slot_of(one), homes[1], lambda: asyncio.to_thread(halfway))
        assert counts == [15, 15]
        assert scene.node_of(one) is homes[1]
        assert await asyncio.to_thread(read, scene, one) == {*numbers, "meanwhile"}

        await scene.migrate_atomically(slot_of(one), homes[2])
        assert scene.node_of(one) is homes[2]
        assert homes[1].call("CLUSTER", "COUNTKEYSINSLOT", slot_of(one)) == 0
        assert await asyncio.to_thread(read, scene, one) == {*numbers, "meanwhile"}


@pytest.mark.chaos
async def test_a_replica_takes_over_when_it_is_told_and_when_its_primary_dies() -> None:
    async with ClusterOfSix({"appendonly": "yes"}) as scene:
        (name,) = scene.queues(1)
        old = scene.node_of(name)
        await asyncio.to_thread(write, scene, name, "before")
        new = await scene.failover(old)
        assert scene.node_of(name) is new is not old
        await scene.healthy()
        await asyncio.to_thread(write, scene, name, "between")

        with new.client() as admin:
            assert admin.wait(1, 2000) == 1

        assert scene.kill_primary(name) is new
        await scene.taken_over(new)
        assert scene.node_of(name) is old
        await asyncio.to_thread(write, scene, name, "after")
        assert await asyncio.to_thread(read, scene, name) == {"before", "between", "after"}
        await scene.restart(new)
        await scene.healthy()
        assert scene.replica_of(old) is new


@pytest.mark.chaos
async def test_a_primary_that_was_frozen_comes_back_as_a_replica() -> None:
    async with ClusterOfSix() as scene:
        (name,) = scene.queues(1)
        old = scene.freeze_primary(name)
        await scene.taken_over(old)
        await scene.restart(old)
        await scene.healthy()
        assert scene.replica_of(scene.node_of(name)) is old


@pytest.mark.chaos
async def test_tls_and_users(tls: None) -> None:
    async with ClusterOfSix(tls=True, secured=True) as scene:
        assert scene.url("worker").startswith(f"rediss+cluster://worker:{PASSWORD}@127.0.0.1:")
        one, two = scene.queues(2)
        await asyncio.to_thread(write, scene, one, "before")
        await scene.migrate_slot(slot_of(one), scene.node_of(two))
        await scene.failover(scene.node_of(one))
        await asyncio.to_thread(write, scene, one, "after")
        assert await asyncio.to_thread(read, scene, one) == {"before", "after"}
        node = scene.node_of(one)

        with redis.Redis(port=node.port) as plain, pytest.raises(redis.ConnectionError):
            plain.ping()

        with node.client("worker") as worker, pytest.raises(redis.exceptions.NoPermissionError):
            worker.flushall()
