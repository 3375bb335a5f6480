"""Faults of the way between one process and a server that stands alone."""

from __future__ import annotations

import asyncio
import random

from tests.chaos.history import Event
from tests.chaos.slot import Slot
from tests.chaos.topology import Standalone

from .kinds import a_while, fault, now


def anyone(scene: Standalone) -> list[Slot]:
    return [*scene.workers, *scene.producers]


async def cut_off(scene: Standalone, rng: random.Random, *ways: str) -> Event | None:
    async with scene.victim(anyone(scene), rng) as slot:
        if slot is None:
            return None

        at, pid = now(), slot.pid
        slot.proxy.hold(*ways)  # type: ignore[arg-type]
        await asyncio.sleep(a_while(rng, 14))

        if rng.random() < 0.5:  # what was on its way is lost; else it arrives now
            slot.proxy.reset()

        slot.proxy.heal()

        return Event(at, "fault", pid=pid, until=now(), redelivers=True)


@fault("network", 4)
async def partition(scene: Standalone, rng: random.Random) -> Event | None:
    """One process and the server do not hear each other, and no connection ends."""
    return await cut_off(scene, rng)


@fault("network", 2)
async def partition_of_requests(scene: Standalone, rng: random.Random) -> Event | None:
    """What one process sends does not arrive."""
    return await cut_off(scene, rng, "up")


@fault("network", 2)
async def partition_of_replies(scene: Standalone, rng: random.Random) -> Event | None:
    """What the server answers one process does not arrive."""
    return await cut_off(scene, rng, "down")


@fault("network", 2)
async def connection_reset(scene: Standalone, rng: random.Random) -> Event | None:
    """RST on all connections of one process."""
    async with scene.victim(anyone(scene), rng) as slot:
        if slot is None:
            return None

        slot.proxy.reset()

        return Event(now(), "fault", pid=slot.pid)


#: Whose calls are cut, by who sends them.
WORKER_VERBS = ("claim", "finish", "fail", "retry", "give_back", "beat", "sweep", "save_meta")
PRODUCER_VERBS = ("enqueue", "wait", "cancel", "stop", "requeue", "load")


@fault("network", 8)
async def call_cut(scene: Standalone, rng: random.Random) -> Event | None:
    """One call is cut: before the server sees it, after it has run, or in the middle of its reply."""
    async with scene.victim(anyone(scene), rng) as slot:
        if slot is None:
            return None

        at, cuts = now(), slot.proxy.cuts
        verb = rng.choice(WORKER_VERBS if slot.worker is not None else PRODUCER_VERBS)
        slot.proxy.cut(verb, rng.choice(["request", "reply", "inside"]), rng.randint(1, 3))

        while slot.proxy.cuts == cuts and now() < at + 4:
            await asyncio.sleep(0.02)

        slot.proxy.heal()

        return Event(at, "fault", pid=slot.pid, until=now())


@fault("network", 2)
async def slow_network(scene: Standalone, rng: random.Random) -> Event | None:
    """Everything takes longer, both ways."""
    async with scene.victim(anyone(scene), rng) as slot:
        if slot is None:
            return None

        at = now()
        slot.proxy.delay = rng.uniform(0.02, 0.4)
        await asyncio.sleep(rng.uniform(1, 6))
        slot.proxy.heal()

        return Event(at, "fault", pid=slot.pid, until=now())


@fault("network", 3)
async def enqueues_cut(scene: Standalone, rng: random.Random) -> Event | None:
    """For some seconds, every few calls of `enqueue` of one producer are carried out and not answered."""
    async with scene.victim(scene.producers, rng) as slot:
        if slot is None:
            return None

        at, ends = now(), now() + rng.uniform(2, 6)

        while now() < ends:
            cuts = slot.proxy.cuts
            slot.proxy.cut("enqueue", "reply", rng.randint(1, 3))

            while slot.proxy.cuts == cuts and now() < ends:
                await asyncio.sleep(0.01)

        slot.proxy.heal()

        return Event(at, "fault", pid=slot.pid, until=now())


@fault("narrow", 1)
async def narrow_network(scene: Standalone, rng: random.Random) -> Event | None:
    """From now on the line of one process carries few bytes in a second, also while the jobs are drained."""
    wide = [slot for slot in anyone(scene) if slot.proxy.rate is None]

    async with scene.victim(wide, rng) as slot:
        if slot is None:
            return None

        slot.proxy.rate = rng.uniform(*(NARROW if slot.worker is not None else LESS_NARROW))

        # The process at the end of the line may be replaced, so none is named.
        return Event(now(), "fault", until=now() + LONGEST)


#: How many bytes the narrow line of a worker carries in a second: the largest result takes 17 to 33 seconds. That
#: of a producer carries more, since there are fewer producers, who get all results.
NARROW, LESS_NARROW = (150_000, 300_000), (500_000, 1_000_000)

#: Longer than a trial, in seconds.
LONGEST = 3600.0
