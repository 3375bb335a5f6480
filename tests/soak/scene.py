"""A soak: a server, two workers and a producer under a steady load, with faults, sampled as long as it lasts."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import redis

from aioq import Queue
from aioq.doctor import examine
from tests.conftest import Server
from tests.soak import jobs
from tests.soak.judge import Line, Metric, judge
from tests.system.processes import WorkerProcess
from tests.tools import eventually

ROOT = Path(__file__).parent.parent.parent

#: The part of what the workers can take that they get.
LOAD = 0.3

#: Jobs that one worker runs at the same time.
CONCURRENCY = 10

#: Shorter soaks show whether jobs are lost, but not whether anything grows.
SHORTEST_JUDGED = 120

FAULTS = ("kill", "cut", "flush", "restart")

PROCESSES = ("worker 1", "worker 2", "producer")

#: Writes that the server has put off because its disk was slow: a fact to know, and not to judge.
PUT_OFF = "server: writes put off"

METRICS = (
    *(Metric(f"{name}: memory", "MiB", 2, 0.08) for name in PROCESSES),
    *(Metric(f"{name}: open files", "", 2) for name in PROCESSES),
    Metric("server: used memory", "MiB", 1, 0.1),
    Metric("server: clients", "", 3),
    Metric("keys", "", 100, 0.1),
    Metric("consumers", "", 1),
    Metric("pending entries", "", 4 * CONCURRENCY),
    Metric("lane main", "", 4 * CONCURRENCY),
    Metric("lane front", "", 2 * CONCURRENCY),
)


@dataclass
class Report:
    """What a soak came to."""

    seconds: float
    rate: float
    most: float
    samples: dict[str, list[tuple[float, float]]] = field(default_factory=dict)
    faults: list[tuple[float, str]] = field(default_factory=list)
    produced: dict[str, object] = field(default_factory=dict)
    lost: list[int] = field(default_factory=list)
    repeated: int = 0
    findings: list[str] = field(default_factory=list)

    @property
    def lines(self) -> list[Line]:
        """Empty for a soak that is too short to judge."""
        if self.seconds < SHORTEST_JUDGED:
            return []

        return [judge(metric, self.samples[metric.name], self.seconds) for metric in METRICS]

    @property
    def is_good(self) -> bool:
        wrong = self.lost or self.findings or self.produced["unanswered"]

        return not wrong and all(line.is_flat for line in self.lines)


class Scene:
    """The processes of a soak.

    Args:
        folder: for the server's data and the notes of jobs; a short path, since sockets stand there.
        say: takes a line for people.

    """

    def __init__(self, folder: Path, say: Callable[[str], None]) -> None:
        self._folder = folder
        self._say = say
        self._server = Server(folder, "--appendonly", "yes", "--appendfsync", "everysec")
        self._environment = os.environ | {"PYTHONPATH": str(ROOT)}
        self._workers: dict[str, WorkerProcess] = {}
        self._producer: subprocess.Popen[bytes] | None = None
        self._started = 0

    async def run(self, seconds: float, faults: tuple[str, ...], calibration: float) -> Report:
        try:
            self._server.start()
            for name in PROCESSES[:2]:
                await self._start_worker(name)
            most = await self._calibrate(calibration)
            report = Report(seconds, LOAD * most, most)
            self._say(f"the workers can take {most:.0f} jobs/s; they get {report.rate:.0f} for {seconds:.0f} s")
            self._start_producer(report.rate, max(5, min(30, seconds / 12)))
            await self._soak(report, faults)
            await self._end(report)
            return report
        finally:
            for process in (self._producer, self._server.process):
                if process is not None and process.poll() is None:
                    process.kill()
                    process.wait()
            for worker in self._workers.values():
                worker.destroy()

    async def _calibrate(self, seconds: float) -> float:
        """Jobs a second that the workers can take, from two drains: a short one, and one for most of the time."""
        rate = 200.0

        async with Queue("default", self._server.url, default_result_ttl=0) as queue:
            for share in (0.25, 0.75):
                number = max(200, int(rate * seconds * share))
                await queue.enqueue_many([Queue.prepare_data(jobs.nap) for _ in range(number)])
                begun = time.monotonic()
                await eventually(lambda: _is_drained(queue), timeout=60)
                rate = number / (time.monotonic() - begun)

        return rate

    async def _soak(self, report: Report, faults: tuple[str, ...]) -> None:
        begun = time.monotonic()
        pace = max(0.2, min(5, report.seconds / 200))
        coming = _fault_times(report.seconds, faults)
        moment, fault = next(coming, (report.seconds, ""))

        while (now := time.monotonic() - begun) < report.seconds:
            if now >= moment:
                self._say(f"{now:6.0f} s  {fault}")
                report.faults.append((now, fault))
                await getattr(self, f"_{fault}")()
                moment, fault = next(coming, (report.seconds, ""))

            # A server that is loading its data has no figures.
            with suppress(redis.ConnectionError, redis.BusyLoadingError):
                for name, value in self._sample().items():
                    report.samples.setdefault(name, []).append((now, value))

            await asyncio.sleep(pace)

    def _sample(self) -> dict[str, float]:
        assert self._producer is not None
        pids = {name: worker.process.pid for name, worker in self._workers.items()}
        pids["producer"] = self._producer.pid
        found: dict[str, float] = {}

        for name, pid in pids.items():
            pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
            found[f"{name}: memory"] = pages * os.sysconf("SC_PAGE_SIZE") / 2**20
            found[f"{name}: open files"] = len(list(Path(f"/proc/{pid}/fd").iterdir()))

        with self._server.client() as client:
            facts = client.info("all")
            lanes = {name: f"aioq:{{default}}:lane:{name}" for name in ("main", "front")}
            groups = [client.xinfo_groups(key)[0] for key in lanes.values() if client.exists(key)]
            found["server: used memory"] = facts["used_memory"] / 2**20
            found["server: clients"] = facts["connected_clients"]
            found[PUT_OFF] = facts["aof_delayed_fsync"]
            found["keys"] = client.dbsize()
            found["consumers"] = max((group["consumers"] for group in groups), default=0)
            found["pending entries"] = sum(group["pending"] for group in groups)
            found |= {f"lane {name}": client.xlen(key) for name, key in lanes.items()}

        return found

    # Faults

    async def _kill(self) -> None:
        """Only the second worker: the first one lives as long as the soak, so what it keeps adds up."""
        self._workers["worker 2"].signal(signal.SIGKILL)
        await self._workers["worker 2"].ended()
        await self._start_worker("worker 2")

    async def _cut(self) -> None:
        with self._server.client() as client:
            for kind in ("normal", "pubsub"):
                client.client_kill_filter(_type=kind, skipme=True)

    async def _flush(self) -> None:
        with self._server.client() as client:
            client.script_flush()

    async def _restart(self) -> None:
        self._server.stop()
        self._server.start()

    # Start and end

    async def _start_worker(self, name: str) -> None:
        self._started += 1
        log = self._folder / f"worker-{self._started}.log"
        options = {"concurrency": CONCURRENCY}
        self._workers[name] = WorkerProcess(log, self._server.url, self._environment, "default", options)
        await self._workers[name].ready()

    def _start_producer(self, rate: float, ttl: float) -> None:
        arguments = (self._server.url, str(self._folder), str(rate), str(ttl))
        self._producer = subprocess.Popen(
            [sys.executable, "-m", "tests.soak.produce", *arguments], env=self._environment
        )

    async def _end(self, report: Report) -> None:
        assert self._producer is not None
        self._producer.terminate()
        await eventually(lambda: self._producer.poll() is not None, timeout=120, describe="the producer's end")
        report.produced = json.loads((self._folder / "produced.json").read_text())

        async with Queue("default", self._server.url) as queue:
            await eventually(lambda: _is_drained(queue), timeout=120, describe="all jobs have ended")
            report.findings = [str(found) for found in await examine(queue)]

        report.lost, report.repeated = self._tally(report.produced)

    def _tally(self, produced: dict[str, object]) -> tuple[list[int], int]:
        """The numbers of accepted jobs that were never run to their end, and how many runs there were too many."""
        sent = int(str(produced["sent"]))
        ran, repeated = bytearray(sent), 0

        for path in self._folder.glob("ran-*"):
            with path.open() as file:
                for line in file:
                    repeated += ran[int(line)]
                    ran[int(line)] = 1

        unknown = set(produced["unknown"])  # type: ignore[call-overload]

        return [number for number in range(sent) if not ran[number] and number not in unknown], repeated


async def soak(
    seconds: float,
    *,
    faults: tuple[str, ...] = FAULTS,
    calibration: float = 8,
    say: Callable[[str], None] = lambda _: None,
) -> Report:
    """Run a soak.

    Args:
        seconds: how long the load lasts; start, calibration and end come on top.
        faults: which ones, in turn: kill (worker 2, by SIGKILL), cut (all connections), flush (the scripts),
            restart (the server, with its append-only file).
        calibration: about how long the calibration takes, in seconds.
        say: takes a line for people now and then.

    """
    # A short path of its own: unix socket names have at most 107 bytes.
    with tempfile.TemporaryDirectory(prefix="aioq-soak-") as folder:
        return await Scene(Path(folder), say).run(seconds, faults, calibration)


async def _is_drained(queue: Queue) -> bool:
    counts = await queue.store.reads.count()

    return counts.queued == counts["started"] == counts["scheduled"] == 0


def _fault_times(seconds: float, faults: tuple[str, ...]) -> Iterator[tuple[float, str]]:
    """About one in 45 seconds, and each kind at least once; none at the very end."""
    number = max(len(faults), int(seconds / 45)) if faults else 0

    for at in range(number):
        yield seconds * (at + 1) / (number + 1), faults[at % len(faults)]
