"""Faults of a primary with replicas and sentinels."""

from __future__ import annotations

import asyncio
import random

from tests.chaos.history import Event
from tests.chaos.topology import Sentinelled

from .kinds import LAG, a_while, fault, now

#: What nobody has asked for.
OF_ITS_OWN = "failover-of-its-own"


async def replaced(scene: Sentinelled, at: float, until: float = 0, loses: float = LAG) -> Event:
    """What a failover was, when all is whole again.

    On a busy machine sentinels may replace a primary that only seems to be down; that may lose something, too.
    """
    await scene.servers.healthy()
    epoch = await asyncio.to_thread(scene.servers.epoch)

    if epoch > scene.epoch + 1:
        scene.note(Event(scene.seen, "fault", OF_ITS_OWN, until=now(), loses=LAG))

    scene.epoch, scene.seen = epoch, now()

    return Event(at, "fault", until=until or now(), loses=loses)


@fault("failover", 4)
async def primary_kill(scene: Sentinelled, rng: random.Random) -> Event | None:
    """SIGKILL of the primary; it comes back later, and becomes a replica."""
    async with scene.at_server:
        at = now()
        dead = await asyncio.to_thread(scene.servers.kill_primary)
        await scene.servers.another_than(dead)
        until = now()
        await asyncio.sleep(a_while(rng))
        await scene.servers.restart(dead)

        return await replaced(scene, at, until)


@fault("failover", 2)
async def primary_freeze(scene: Sentinelled, rng: random.Random) -> Event | None:
    """SIGSTOP of the primary until another one has taken over; then it goes on as if it were the primary."""
    async with scene.at_server:
        at = now()
        frozen = await asyncio.to_thread(scene.servers.freeze_primary)
        await scene.servers.another_than(frozen)
        await asyncio.sleep(a_while(rng, 5))
        await scene.servers.restart(frozen)

        return await replaced(scene, at)


@fault("failover", 2)
async def primary_cut_off(scene: Sentinelled, rng: random.Random) -> Event | None:
    """Replicas and sentinels do not reach the primary, but clients do: there are two primaries for a while."""
    async with scene.at_server:
        at = now()
        alone = await asyncio.to_thread(scene.servers.primary)
        scene.servers.cut_off(alone)
        await scene.servers.another_than(alone)
        await asyncio.sleep(a_while(rng, 5))
        scene.servers.rejoin(alone)

        return await replaced(scene, at)


@fault("failover", 4)
async def failover_planned(scene: Sentinelled, rng: random.Random) -> Event | None:
    """SENTINEL FAILOVER, for which the primary waits until the replica has all: nothing may be lost."""
    if scene.kind != "valkey9":
        return None

    async with scene.at_server:
        at = now()
        await scene.servers.failover()
        until = now()

        return await replaced(scene, at, until, loses=0)


@fault("failover", 2)
async def failover_asked(scene: Sentinelled, rng: random.Random) -> Event | None:
    """SENTINEL FAILOVER as it always was: the old primary takes writes until it is told."""
    async with scene.at_server:
        at = now()
        await scene.servers.failover(planned=False)

        return await replaced(scene, at)
