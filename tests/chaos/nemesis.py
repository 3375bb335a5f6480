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
from typing import Any

import redis

from tests.servers.cluster import slot_of
from tests.servers.node import Node

from .history import Event
from .topology import Clustered, Sentinelled, Slot, Standalone, Topology

#: Breaks and heals; returns what it was, or None if there was nothing to break just then.
Hit = Callable[[Any, random.Random], Awaitable[Event | None]]


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
    """The faults of a kind of trial, or of several that a + joins; a name is one fault alone.

    "mixed" has all that can break where one server stands alone.
    """
    names = mix.split("+")

    return [
        each
        for each in FAULTS.values()
        if {each.name, each.mix} & set(names) or ("mixed" in names and each.mix not in HOMES)
    ]


MIXES = ("workers", "server", "network", "mixed", "failover", "cluster")

#: Where faults of servers are at home that do not stand alone.
HOMES = {"failover": "sentinel", "cluster": "cluster"}

#: There is one fault of these kinds at a time, with a pause of some seconds before the next: work goes on in it.
SERIAL = ("server", "failover", "cluster")


def home_of(mix: str) -> str:
    """The topology that a mix, or a fault, needs."""
    return next((HOMES[each.mix] for each in of_mix(mix) if each.mix in HOMES), "standalone")


now = time.monotonic


def a_while(rng: random.Random, longest: float = 10.0) -> float:
    """Mostly short; sometimes longer than a lease."""
    return rng.uniform(0, 2) if rng.random() < 0.6 else rng.uniform(2, longest)


# Workers


@fault("workers", 20)
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


@fault("workers", 3)
async def worker_term(scene: Topology, rng: random.Random) -> Event | None:
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


# A primary with replicas and sentinels

#: Replicas receive what is written as soon as the network lets them. When one takes over that nobody has prepared,
#: the primary's writes of its last so many seconds may be gone.
LAG = 1.0


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


# A Cluster


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
