"""Faults of a Cluster."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable

from tests.chaos.history import Event
from tests.chaos.topology import Clustered
from tests.servers.cluster import slot_of
from tests.servers.node import Node

from .kinds import LAG, LOSES, a_while, fault, now


def a_queue(scene: Clustered, rng: random.Random) -> str:
    return rng.choice(scene.queues.split(","))


@fault("cluster", 4)
async def shard_kill(scene: Clustered, rng: random.Random) -> Event | None:
    """SIGKILL of a primary; it comes back later as a replica."""
    async with scene.at_server:
        at = now()
        dead = await asyncio.to_thread(scene.servers.kill_primary, a_queue(scene, rng))
        await scene.servers.taken_over(dead)
        until = now()
        await asyncio.sleep(a_while(rng))
        await scene.servers.restart(dead)
        await scene.servers.healthy()

        return Event(at, "fault", until=until, loses=LAG)


@fault("cluster", 4)
async def shard_failover(scene: Clustered, rng: random.Random) -> Event | None:
    """CLUSTER FAILOVER: nothing may be lost."""
    async with scene.at_server:
        at = now()
        await scene.servers.failover(await asyncio.to_thread(scene.servers.node_of, a_queue(scene, rng)))
        until = now()
        await scene.servers.healthy()

        return Event(at, "fault", until=until)


@fault("cluster", 2)
async def shard_freeze(scene: Clustered, rng: random.Random) -> Event | None:
    """SIGSTOP of a primary for a while: its replica may take over or not."""
    async with scene.at_server:
        at = now()
        frozen = await asyncio.to_thread(scene.servers.freeze_primary, a_queue(scene, rng))
        await asyncio.sleep(a_while(rng))
        await scene.servers.restart(frozen)
        await scene.servers.healthy()

        return Event(at, "fault", until=now(), loses=LAG)


@fault("cluster", 2)
async def node_restart(scene: Clustered, rng: random.Random) -> Event | None:
    """SIGTERM of any node, as an orderly restart does; who is a primary ends when its replica has all."""
    async with scene.at_server:
        at = now()
        node = rng.choice(scene.servers.nodes)
        await asyncio.to_thread(node.stop)
        await asyncio.sleep(a_while(rng, 5))
        await scene.servers.restart(node)
        await scene.servers.healthy()

        return Event(at, "fault", until=now())


async def move(scene: Clustered, rng: random.Random, how: Callable[[int, Node], Awaitable[None]]) -> Event:
    async with scene.at_server:
        at, name = now(), a_queue(scene, rng)
        home, primaries = await asyncio.to_thread(lambda: (scene.servers.node_of(name), scene.servers.primaries()))
        await how(slot_of(name), rng.choice([node for node in primaries if node is not home]))
        until = now()
        await scene.servers.healthy()

        return Event(at, "fault", until=until)


@fault("cluster", 4)
async def slot_move(scene: Clustered, rng: random.Random) -> Event | None:
    """A queue moves to another shard key by key, and stays half moved for a while."""
    pause = rng.uniform(0, 3)

    return await move(
        scene, rng, lambda slot, to: scene.servers.migrate_slot(slot, to, lambda: asyncio.sleep(pause))
    )


@fault("cluster", 3)
async def slot_move_whole(scene: Clustered, rng: random.Random) -> Event | None:
    """A queue moves to another shard as a whole."""
    return await move(scene, rng, scene.servers.migrate_atomically) if scene.kind == "valkey9" else None


@fault("cluster", 2)
async def shard_away(scene: Clustered, rng: random.Random) -> Event | None:
    """A primary and its replica are killed, and come back after a minute. A worker is replaced meanwhile."""
    async with scene.at_server:
        at, name = now(), a_queue(scene, rng)
        home, replica, away = await asyncio.to_thread(_shard, scene, name)
        replica.kill()
        home.kill()

        async with asyncio.TaskGroup() as group:
            group.create_task(_replace_a_worker(scene, rng))
            await asyncio.sleep(OUTAGE)
            await scene.servers.restart(home)
            await scene.servers.restart(replica)

        until = now()
        await scene.servers.healthy()

        return Event(at, "fault", until=until, loses=LOSES[scene.disk], away=away)


#: How long a shard is away, in seconds.
OUTAGE = 60.0


def _shard(scene: Clustered, queue: str) -> tuple[Node, Node, tuple[str, ...]]:
    """The primary and the replica of a queue, and all queues that are there."""
    home = scene.servers.node_of(queue)
    there = tuple(name for name in scene.queues.split(",") if scene.servers.node_of(name) is home)

    return home, scene.servers.replica_of(home), there


async def _replace_a_worker(scene: Clustered, rng: random.Random) -> None:
    """Kill a worker while a shard is away, and start another one in its place."""
    await asyncio.sleep(3)

    async with scene.victim(scene.workers, rng) as slot:
        if slot is not None:
            scene.note(Event(now(), "fault", "worker-kill", pid=slot.pid, redelivers=True))
            slot.process.kill()
            slot.process.wait()
            await scene.start_worker(slot)
