"""Faults of workers and producers: their processes end, stop, or lose a thread."""

from __future__ import annotations

import asyncio
import random
import signal
from functools import partial

from aioq import Connection
from aioq.pool.reports import Reports
from tests.chaos.history import Event
from tests.chaos.serve import COUNTS, ENDS
from tests.chaos.slot import STUCK, CommandProcess, end_of
from tests.chaos.topology import Topology

from .kinds import a_while, fault, now


@fault("workers", 30)
async def worker_kill(scene: Topology, rng: random.Random) -> Event | None:
    """SIGKILL; another worker is started in its place."""
    async with scene.victim(scene.workers, rng) as slot:
        if slot is None:
            return None

        at, pid = now(), slot.pid
        slot.process.kill()
        slot.process.wait()
        await asyncio.sleep(rng.uniform(0, 1))
        await scene.start_worker(slot)

        return Event(at, "fault", pid=pid, redelivers=True)


@fault("workers", 10)
async def child_kill(scene: Topology, rng: random.Random) -> Event | None:
    """SIGKILL, as of a process of a pool: its end is reported at once, and another one is started in its place.

    Calls of the dead worker may still be on their way, in its proxy, when the report comes.
    """
    async with scene.victim(scene.workers, rng) as slot:
        if slot is None or slot.worker is None:
            return None

        at, pid = now(), slot.pid
        slot.process.kill()
        slot.process.wait()
        reports = Reports(partial(Connection, scene.url), scene.queues.split(","))
        reports.put(slot.worker.name)
        await reports.finish(REPORT)
        await scene.start_worker(slot)

        return Event(at, "fault", pid=pid, redelivers=True)


#: How long a report may take, in seconds: if the server is away, the lease ends by itself.
REPORT = 10.0

#: What a worker may take to stop beyond its shutdown timeout, and what its jobs may take to clean up, in seconds.
FAREWELL = 4.0
CANCEL_GRACE = 5.0


@fault("workers", 3)
async def worker_term(scene: Topology, rng: random.Random) -> Event | None:
    """SIGTERM, once or twice: an orderly shutdown, which must end in time and with exit code 0."""
    async with scene.victim(scene.workers, rng) as slot:
        if slot is None or slot.worker is None:
            return None

        at, pid, fine = now(), slot.pid, [0]
        slot.worker.signal(signal.SIGTERM)

        if rng.random() < 0.3:
            await asyncio.sleep(rng.uniform(0, 0.3))
            slot.worker.signal(signal.SIGTERM)
            # It had done all, and was about to end when the second one came.
            fine += [-signal.SIGTERM, 128 + signal.SIGTERM]

        code, until = await end_of(slot.process, at + STUCK - now()), now()

        if code is None:
            slot.process.kill()
            slot.process.wait()
        elif code not in fine and not scene.note_death(slot):
            scene.problems.append(f"a worker ended with {code} after SIGTERM:\n{slot.worker.text()[-2000:]}")

        await scene.start_worker(slot)
        within = scene.shutdown_timeout + FAREWELL + CANCEL_GRACE

        return Event(at, "fault", pid=pid, until=until, redelivers=True, within=within)


async def end_threads(scene: Topology, rng: random.Random, number: signal.Signals) -> Event | None:
    async with scene.victim(scene.workers, rng) as slot:
        if slot is None or slot.worker is None:
            return None

        at, pid, worker = now(), slot.pid, slot.worker
        before = await threads(worker, ENDS[number])
        worker.signal(number)
        code = await end_of(slot.process, NOTICED)

        if code is None:
            await scene.check_lease(slot)
            after = await threads(worker, ENDS[number])

            if before is not None and after is not None and not after >= before > 0:
                scene.problems.append(f"of {before} threads {ENDS[number]}, {slot.name} has {after} and goes on")

            return Event(at, "fault", pid=pid, until=now())

        until = now()

        if not scene.note_death(slot) and code < 0:
            scene.problems.append(f"a worker that lost a thread ended with {code}:\n{worker.text()[-2000:]}")

        await scene.start_worker(slot)

        return Event(at, "fault", pid=pid, until=until, redelivers=True)


async def threads(worker: CommandProcess, name: str) -> int | None:
    """How many threads of a kind a worker has; None, if it does not answer: it has ended, or a job blocks it."""
    line = f"threads {name} "
    asked, seen = now(), worker.text().count(line)
    worker.signal(COUNTS)

    while worker.text().count(line) == seen:
        if worker.process.poll() is not None or now() > asked + NOTICED:
            return None

        await asyncio.sleep(0.05)

    return int(worker.text().rpartition(line)[2].split()[0])


#: After so many seconds the lease would be over of a worker whose heartbeat has ended, and others would know it.
NOTICED = 10.0


@fault("workers", 1)
async def heartbeat_end(scene: Topology, rng: random.Random) -> Event | None:
    """The thread that keeps the leases ends by an error. The worker starts another one, or stops in order."""
    return await end_threads(scene, rng, signal.SIGUSR1)


@fault("workers", 1)
async def guard_end(scene: Topology, rng: random.Random) -> Event | None:
    """The thread that watches the event loop ends by an error; all else goes on."""
    return await end_threads(scene, rng, signal.SIGUSR2)


@fault("workers", 3)
async def worker_freeze(scene: Topology, rng: random.Random) -> Event | None:
    """SIGSTOP for a while, then SIGCONT: past its lease it is a zombie."""
    async with scene.victim(scene.workers, rng) as slot:
        if slot is None:
            return None

        at = now()
        slot.process.send_signal(signal.SIGSTOP)
        await asyncio.sleep(a_while(rng, 15))
        until = now()
        slot.process.send_signal(signal.SIGCONT)

        return Event(at, "fault", pid=slot.pid, until=until, redelivers=True)


@fault("mixed", 1)
async def producer_kill(scene: Topology, rng: random.Random) -> Event | None:
    """SIGKILL of a producer: what it has just asked for may have happened or not."""
    async with scene.victim(scene.producers[1:], rng) as slot:
        if slot is None:
            return None

        at = now()
        slot.process.kill()
        slot.process.wait()

        return Event(at, "fault", pid=slot.pid)
