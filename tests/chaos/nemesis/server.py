"""Faults of a server that stands alone."""

from __future__ import annotations

import asyncio
import random
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import redis

from tests.chaos.history import Event
from tests.chaos.topology import Standalone

from .kinds import LOSES, a_while, fault, now


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
