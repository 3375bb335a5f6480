"""Faults: each breaks one thing, heals it after a while, and says what may come of it."""

from __future__ import annotations

import asyncio
import math
import random
import signal
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import redis

from .history import Event
from .topology import Slot, Standalone

#: Breaks and heals; returns what it was, or None if there was nothing to break just then.
Hit = Callable[[Standalone, random.Random], Awaitable[Event | None]]


@dataclass(frozen=True, slots=True)
class Fault:
    """One way to break something.

    Args:
        name: what tables and histories call it.
        mix: the kind of trial that it belongs to.
        weight: how often it comes, beside the others of its mix.
        hit: does it.

    """

    name: str
    mix: str
    weight: int
    hit: Hit


FAULTS: dict[str, Fault] = {}

#: Writes of this many seconds before a SIGKILL may be gone. With everysec, a write is postponed for up to two
#: seconds while an fsync is under way; else it is with the operating system before it is answered.
LOSES = {"always": 0.0, "everysec": 2.0, "none": math.inf}


def fault(mix: str, weight: int) -> Callable[[Hit], Hit]:
    """Registers a fault by its function's name."""

    def register(hit: Hit) -> Hit:
        name = hit.__name__.replace("_", "-")
        FAULTS[name] = Fault(name, mix, weight, hit)

        return hit

    return register


def of_mix(mix: str) -> list[Fault]:
    """The faults of a kind of trial; "mixed" has all of them, and a name is one fault alone."""
    if mix in FAULTS:
        return [FAULTS[mix]]

    return [each for each in FAULTS.values() if mix in (each.mix, "mixed")]


MIXES = ("workers", "server", "network", "mixed")

#: There is one fault of this kind at a time, with a pause of some seconds before the next, in which work goes on.
SERIAL = "server"

now = time.monotonic


def a_while(rng: random.Random, longest: float = 10.0) -> float:
    """Mostly short; sometimes longer than a lease."""
    return rng.uniform(0, 2) if rng.random() < 0.6 else rng.uniform(2, longest)


# Workers


@fault("workers", 20)
async def worker_kill(scene: Standalone, rng: random.Random) -> Event | None:
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


@fault("workers", 3)
async def worker_term(scene: Standalone, rng: random.Random) -> Event | None:
    """SIGTERM, once or twice: an orderly shutdown, which must end with exit code 0."""
    async with scene.victim(scene.workers, rng) as slot:
        if slot is None or slot.worker is None:
            return None

        at, pid, fine = now(), slot.pid, [0]
        slot.worker.signal(signal.SIGTERM)

        if rng.random() < 0.3:
            await asyncio.sleep(rng.uniform(0, 0.3))
            slot.worker.signal(signal.SIGTERM)
            fine.append(-signal.SIGTERM)  # it had done all, and was about to end when the second one came

        code, until = await slot.worker.ended(), now()

        if code not in fine:
            scene.problems.append(f"a worker ended with {code} after SIGTERM:\n{slot.worker.text()[-2000:]}")

        await scene.start_worker(slot)

        return Event(at, "fault", pid=pid, until=until, redelivers=True)


@fault("workers", 3)
async def worker_freeze(scene: Standalone, rng: random.Random) -> Event | None:
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
async def producer_kill(scene: Standalone, rng: random.Random) -> Event | None:
    """SIGKILL of a producer: what it has just asked for may have happened or not."""
    async with scene.victim(scene.producers[1:], rng) as slot:
        if slot is None:
            return None

        at = now()
        slot.process.kill()
        slot.process.wait()

        return Event(at, "fault", pid=slot.pid)


# The server


async def outage(scene: Standalone, rng: random.Random, stop: Callable[[], None], loses: float = 0) -> Event:
    async with scene.at_server:
        at = now()
        stop()
        await asyncio.sleep(a_while(rng))
        await asyncio.to_thread(scene.server.start)

        return Event(at, "fault", until=now(), loses=loses)


@fault("server", 6)
async def server_kill(scene: Standalone, rng: random.Random) -> Event | None:
    """SIGKILL; it is started again after a while, with what it has on disk."""
    return await outage(scene, rng, lambda: scene.server.stop(kill=True), LOSES[scene.disk])


@fault("server", 3)
async def server_term(scene: Standalone, rng: random.Random) -> Event | None:
    """SIGTERM, as an orderly restart does."""
    return await outage(scene, rng, scene.server.stop)


@fault("server", 2)
async def server_shutdown(scene: Standalone, rng: random.Random) -> Event | None:
    """SHUTDOWN by a client."""

    def stop() -> None:
        with scene.admin() as client:
            client.shutdown()

        scene.server.stop()

    return await outage(scene, rng, stop)


@fault("server", 3)
async def server_freeze(scene: Standalone, rng: random.Random) -> Event | None:
    """SIGSTOP for a while: connections stand, and nobody answers."""
    async with scene.at_server:
        at = now()
        process = scene.server.process
        assert process is not None
        process.send_signal(signal.SIGSTOP)
        await asyncio.sleep(a_while(rng))
        process.send_signal(signal.SIGCONT)

        return Event(at, "fault", until=now())


@fault("server", 1)
async def machine_freeze(scene: Standalone, rng: random.Random) -> Event | None:
    """Server and workers stop together, as on a machine that sleeps."""
    async with scene.at_server:
        at = now()
        assert scene.server.process is not None
        slots = [slot for slot in scene.workers if not slot.busy]
        stopped = [scene.server.process, *(slot.process for slot in slots)]

        for slot in slots:
            slot.busy = True

        for process in stopped:
            process.send_signal(signal.SIGSTOP)

        await asyncio.sleep(a_while(rng))

        for process in stopped:
            process.send_signal(signal.SIGCONT)

        for slot in slots:
            slot.busy = False

        return Event(at, "fault", until=now())


@contextmanager
def settings(client: redis.Redis, **values: object) -> Iterator[None]:
    """Other settings of the server for a while."""
    names = {name.replace("_", "-"): value for name, value in values.items()}
    before = {name: client.config_get(name)[name] for name in names}

    for name, value in names.items():
        client.config_set(name, value)

    try:
        yield
    finally:
        for name, value in before.items():
            client.config_set(name, value)


@fault("server", 2)
async def script_flush(scene: Standalone, rng: random.Random) -> Event | None:
    """SCRIPT FLUSH, a few times."""
    async with scene.at_server:
        at = now()

        with scene.admin() as client:
            for _ in range(rng.randint(1, 10)):
                client.script_flush()
                await asyncio.sleep(rng.uniform(0, 0.2))

        return Event(at, "fault", until=now())


@fault("server", 2)
async def client_kill(scene: Standalone, rng: random.Random) -> Event | None:
    """CLIENT KILL of all connections."""
    async with scene.at_server:
        at = now()

        with scene.admin() as client:
            for kind in ("normal", "pubsub"):
                client.execute_command("CLIENT", "KILL", "TYPE", kind, "SKIPME", "yes")

        return Event(at, "fault", until=now())


@fault("server", 1)
async def client_pause(scene: Standalone, rng: random.Random) -> Event | None:
    """CLIENT PAUSE: the server holds all calls back."""
    async with scene.at_server:
        at, seconds = now(), rng.uniform(0.1, 2.5)

        with scene.admin() as client:
            client.client_pause(int(seconds * 1000))

        await asyncio.sleep(seconds)

        return Event(at, "fault", until=now())


@fault("server", 1)
async def memory_full(scene: Standalone, rng: random.Random) -> Event | None:
    """The server is at its memory limit, and refuses what needs more."""
    async with scene.at_server:
        at = now()

        with scene.admin() as client, settings(client, maxmemory="1mb", maxmemory_policy="noeviction"):
            await asyncio.sleep(rng.uniform(0.2, 3))

        return Event(at, "fault", until=now())


@fault("server", 1)
async def no_replicas(scene: Standalone, rng: random.Random) -> Event | None:
    """The server refuses writes, because it is to have a replica and has none."""
    async with scene.at_server:
        at = now()

        with scene.admin() as client, settings(client, min_replicas_to_write=1):
            await asyncio.sleep(rng.uniform(0.2, 3))

        return Event(at, "fault", until=now())


@fault("server", 1)
async def read_only(scene: Standalone, rng: random.Random) -> Event | None:
    """The server is a replica for a while, of a primary that does not answer."""
    async with scene.at_server:
        at = now()

        with scene.admin() as client:
            client.replicaof("127.0.0.1", 1)
            await asyncio.sleep(rng.uniform(0.2, 3))
            client.replicaof("NO", "ONE")

        return Event(at, "fault", until=now())


@fault("server", 1)
async def busy_script(scene: Standalone, rng: random.Random) -> Event | None:
    """Somebody's script takes long, and the server answers BUSY meanwhile."""

    def spin() -> None:
        with scene.admin() as client, settings(client, lua_time_limit=100):
            client.eval(f"for i = 1, {rng.randint(2, 10)} * 1e7 do end return 1", 0)

    async with scene.at_server:
        at = now()
        await asyncio.to_thread(spin)

        return Event(at, "fault", until=now())


@fault("server", 1)
async def few_clients(scene: Standalone, rng: random.Random) -> Event | None:
    """The server closes all connections, and takes only a few new ones for a while."""
    async with scene.at_server:
        at = now()

        with scene.admin() as client, settings(client, maxclients=5):
            client.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
            await asyncio.sleep(rng.uniform(0.2, 3))

        return Event(at, "fault", until=now())


# The network


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
WORKER_VERBS = ("claim", "finish", "fail", "retry", "release", "beat", "sweep", "save_meta")
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
