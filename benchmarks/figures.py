"""Every figure that is measured: its name, its unit, and the goals it is held to, which are numbered T1 to T20.

A goal is for a run with all promises on, which are the defaults: results, fences, ttl checks, leases, registries.
T18, that a job pays for no feature that it does not use, is counted to the unit: by tests/system/test_cost.py.
"""

from __future__ import annotations

import statistics
from dataclasses import dataclass, field

from benchmarks import peers

ARDIQ = ("ardiq",)
FLOOR = ("floor",)
ALL = tuple(peers.PEERS)

#: The peers that are written in Python and keep results, as aioq does.
PURE = tuple(name for name, peer in peers.PEERS.items() if peer.results and name not in ARDIQ)


@dataclass(frozen=True)
class Goal:
    """A limit for aioq's figure; with `of`, for its ratio to the best of those systems that were measured.

    Args:
        least: it must not be lower.
        most: it must not be higher.
        of: the systems it is compared with; the best of them counts.

    """

    least: float | None = None
    most: float | None = None
    of: tuple[str, ...] = ()


@dataclass(frozen=True)
class Figure:
    """One number.

    Args:
        key: the benchmark and what it measures there.
        name: what the table calls it.
        unit: jobs/s, ms, …
        goals: what it is held to.
        target: the number of its goals.

    """

    key: str
    name: str
    unit: str
    goals: tuple[Goal, ...] = ()
    target: str = ""


def _io() -> list[Figure]:
    goals = (Goal(least=0.95),)

    figures = []

    for ms in (10, 100):
        for width in (100, 500, 1000):
            name = f"{ms} ms of I/O, {width} at once: part of the ideal rate"
            figures += [
                Figure(f"io.{ms}.{width}", name, "part", goals, "T7"),
                Figure(f"io.{ms}.{width}.busy", "the worker's core is busy for", "part"),
            ]

    return figures


def _latency() -> list[Figure]:
    p50, p99 = (Goal(most=1.25, of=FLOOR), Goal(most=0.8, of=ALL)), (Goal(most=1, of=ALL),)
    figures = []

    for key, name in (("start", "body"), ("result", "result")):
        figures += [
            Figure(f"latency.{key}.p50", f"idle worker: enqueue to {name}, p50", "ms", p50, "T6"),
            Figure(f"latency.{key}.p99", "p99", "ms", p99, "T6"),
            Figure(f"latency.{key}.spread", "p99 / p50", "times"),
        ]

    return figures


def _dependencies() -> list[Figure]:
    figures = [
        Figure("dependencies.enqueue", "10 k jobs, enqueued in one call", "jobs/s"),
        Figure("dependencies.drain", "drained", "jobs/s"),
    ]

    for shape, name in (("fan_out", "10 k jobs after one"), ("fan_in", "one job after 10 k")):
        key = f"dependencies.{shape}"
        drain = ((Goal(most=1.2),), "T19") if shape == "fan_in" else ()
        figures += [
            Figure(f"{key}.enqueue", f"{name}: enqueued", "jobs/s"),
            Figure(f"{key}.enqueue.times", "time to that of plain jobs", "times"),
            Figure(f"{key}.drain", "drained", "jobs/s"),
            Figure(f"{key}.drain.times", "time to that of plain jobs", "times", *drain),
        ]

        if shape == "fan_out":
            figures += [
                Figure(f"{key}.released", "begin of the one to the release of the last", "ms"),
                Figure(f"{key}.released.times", "to the enqueue of plain jobs", "times", (Goal(most=1.5),), "T19"),
            ]

    return [
        *figures,
        Figure("dependencies.chain.enqueue", "a chain of 1 k jobs: enqueued", "jobs/s"),
        Figure("dependencies.chain", "drained, for each link", "ms"),
        Figure("dependencies.lone", "one lone job at a time: enqueue to result, p50", "ms"),
        Figure("dependencies.chain.times", "a link to a lone job", "times", (Goal(most=1.3),), "T19"),
    ]


def _group() -> list[Figure]:
    rate, memory = (Goal(least=0.8),), (Goal(most=100),)

    return [
        Figure("group.plain.enqueue", "100 k jobs, enqueued in one call", "jobs/s"),
        Figure("group.plain.drain", "drained", "jobs/s"),
        Figure("group.enqueue", "the same as a group: enqueued", "jobs/s"),
        Figure("group.enqueue.part", "part of the rate of plain jobs", "part", rate, "T20"),
        Figure("group.drain", "drained", "jobs/s"),
        Figure("group.drain.part", "part of the rate of plain jobs", "part", rate, "T20"),
        Figure("group.told", "end of the last member to the return of wait()", "ms", (Goal(most=10),), "T20"),
        Figure("group.queued", "memory of a queued member, more than a plain job", "bytes", memory, "T20"),
        Figure("group.ended", "of a finished member", "bytes", memory, "T20"),
    ]


FIGURES = (
    Figure("enqueue.one", "enqueue, one at a time", "jobs/s", (Goal(least=1, of=FLOOR),), "T4"),
    Figure("enqueue.one.client", "client CPU", "µs/job"),
    Figure("enqueue.one.server", "server CPU", "µs/job"),
    Figure("enqueue.one.bytes", "bytes to the server", "bytes/job"),
    Figure(
        "enqueue.gather",
        "enqueue, gather of 1000",
        "jobs/s",
        (Goal(least=0.7, of=FLOOR), Goal(least=2.5, of=ARDIQ)),
        "T2",
    ),
    Figure("enqueue.gather.client", "client CPU", "µs/job"),
    Figure("enqueue.gather.server", "server CPU", "µs/job"),
    Figure("enqueue.many", "enqueue_many", "jobs/s", (Goal(least=1.2, of=ARDIQ),), "T3"),
    Figure("enqueue.many.client", "client CPU", "µs/job"),
    Figure("enqueue.many.server", "server CPU", "µs/job"),
    Figure(
        "drain.rate",
        "drain, no-op coroutines",
        "jobs/s",
        (Goal(least=0.8, of=FLOOR), Goal(least=3, of=ARDIQ), Goal(least=15, of=PURE)),
        "T1",
    ),
    Figure("drain.worker", "worker CPU", "µs/job"),
    Figure("drain.server", "server CPU", "µs/job"),
    Figure("drain.commands", "server commands", "per job"),
    Figure("drain.trips", "round trips", "per job"),
    Figure("drain.both", "server CPU, enqueue_many and drain", "s/1000 jobs", (Goal(most=0.04),), "T9"),
    Figure(
        "users.rate",
        "100 users, enqueue and await the result",
        "jobs/s",
        (Goal(least=0.7, of=FLOOR), Goal(least=5, of=ARDIQ)),
        "T5",
    ),
    Figure("users.p50", "p50", "ms"),
    Figure("users.p99", "p99", "ms"),
    Figure("users.spread", "p99 / p50", "times", (Goal(most=2),), "T5"),
    Figure("users.alone.rate", "1 user, enqueue and await the result", "jobs/s"),
    Figure("users.alone.p50", "p50", "ms"),
    Figure("users.alone.p99", "p99", "ms"),
    Figure("users.alone.spread", "p99 / p50", "times"),
    *_latency(),
    *_io(),
    Figure("depth.base", "CPU of enqueue and drain, both sides, at depth 5 k", "µs/job"),
    Figure("depth.queued.100k", "the same with 100 k more queued", "times", (Goal(most=1.1, of=FLOOR),), "T8"),
    Figure("depth.queued.1M", "with 1 M more queued", "times", (Goal(most=1.1, of=FLOOR),), "T8"),
    Figure("depth.failed.1M", "beside 1 M failed", "times", (Goal(most=1.1, of=FLOOR),), "T8"),
    Figure("depth.scheduled.1M", "beside 1 M scheduled", "times", (Goal(most=1.1, of=FLOOR),), "T8"),
    Figure("depth.finished.1M", "beside 1 M finished", "times", (Goal(most=1.1, of=FLOOR),), "T8"),
    Figure("memory.queued", "memory of a queued job without arguments", "bytes", (Goal(most=230),), "T10"),
    Figure("memory.finished", "memory of a finished job with its result", "bytes", (Goal(most=400),), "T10"),
    Figure("memory.worker", "worker memory, idle", "MiB", (Goal(most=40),), "T12"),
    Figure("memory.early", "after 50 k jobs", "MiB"),
    Figure("memory.growth", "its growth from there to 1 M jobs", "MiB", (Goal(most=1),), "T12"),
    Figure("idle.cpu", "idle worker: CPU", "%", (Goal(most=0.3),), "T11"),
    # It may be 3 as soon as T14 is met: more frequent beats find a dead worker sooner.
    Figure("idle.commands", "server commands", "per s", (Goal(most=2),), "T11"),
    Figure("idle.trips", "round trips", "per s"),
    Figure("idle.connections", "connections", "", (Goal(most=4),), "T11"),
    Figure("promotion.one.rate", "100 k jobs due at once: promoted, 1 worker", "jobs/s"),
    Figure("promotion.one.done", "run to the end, 1 worker", "jobs/s"),
    Figure("promotion.one.p99", "p99 of others' commands, 1 worker", "ms", (Goal(most=10),), "T13"),
    Figure("promotion.four.rate", "promoted, 4 workers", "jobs/s", (Goal(least=20_000),), "T13"),
    Figure("promotion.four.done", "run to the end, 4 workers", "jobs/s"),
    Figure("promotion.four.p99", "p99 of others' commands, 4 workers", "ms", (Goal(most=10),), "T13"),
    Figure("promotion.four.longest", "longest script of the server, 4 workers", "ms"),
    Figure("recovery.p50", "SIGKILL to the body's next start, p50", "s", (Goal(most=4),), "T14"),
    Figure("recovery.p99", "p99", "s", (Goal(most=6),), "T14"),
    Figure("recovery.max", "the longest", "s", (Goal(most=6),), "T14"),
    Figure("recovery.crowd.p50", "the same, ten killed one after the other within 10 s, p50", "s"),
    Figure("recovery.crowd.max", "the longest", "s", (Goal(most=8),), "T14"),
    Figure("recovery.blocker.runs", "runs of a job that blocks its loop for 60 s", "", (Goal(most=1),), "T14"),
    Figure("workers.one", "CPU of 1 worker and the server", "s/1000 jobs"),
    Figure("workers.two", "of 2 workers, to that of 1", "times", (Goal(most=1.1),), "T15"),
    Figure("workers.four", "of 4 workers, to that of 1", "times", (Goal(most=1.1),), "T15"),
    Figure("shards.none", "CPU of 1 worker on 12 queues and one server", "s/1000 jobs"),
    Figure("shards.one", "of a Cluster of 1 server, to that", "times"),
    Figure("shards.three", "of 3 servers", "times"),
    Figure("shards.six", "of 6 servers", "times"),
    Figure(
        "threads.overhead", "plain function on a thread: more than a coroutine", "µs/job", (Goal(most=50),), "T16"
    ),
    Figure("threads.rate", "plain functions on threads", "jobs/s"),
    Figure(
        "processes.overhead",
        "plain function in a process of its own: more than a coroutine",
        "µs/job",
        (Goal(most=200),),
        "T16",
    ),
    Figure("processes.rate", "plain functions in processes of their own", "jobs/s"),
    Figure("sync.enqueue", "enqueue without an event loop, one at a time: p50", "µs"),
    Figure("sync.awaited", "the same call, awaited on an event loop", "µs"),
    Figure("sync.ratio", "without to with an event loop", "times"),
    Figure("imports.aioq", "import aioq", "ms", (Goal(most=150),), "T17"),
    Figure("imports.help", "aioq --help, to its first line", "ms", (Goal(most=300),), "T17"),
    *_dependencies(),
    *_group(),
    Figure("typed.call", "typed: a struct as argument, more than texts in pickle", "µs/job"),
    Figure("typed.result", "typed: a struct as result, more than texts in pickle", "µs/job"),
)


@dataclass
class Samples:
    """What the repetitions of one figure brought, by system and in order."""

    figure: Figure
    values: dict[str, list[float]] = field(default_factory=dict)

    def median(self, system: str) -> float:
        return statistics.median(self.values[system])

    def ratio(self, system: str, other: str) -> float:
        """Of two systems: the median over repetitions, so that both sides of each ratio saw the same machine."""
        pairs = zip(self.values[system], self.values[other], strict=False)

        return statistics.median(mine / its for mine, its in pairs if its)

    def judge(self, goal: Goal) -> tuple[float, bool] | None:
        """aioq's value or ratio, and whether it meets the goal; None if what it needs was not measured."""
        others = [name for name in goal.of if self.values.get(name)]

        if not self.values.get("aioq") or (goal.of and not others):
            return None

        if not goal.of:
            value = self.median("aioq")
        elif goal.least is not None:
            value = min(self.ratio("aioq", name) for name in others)
        else:
            value = max(self.ratio("aioq", name) for name in others)

        return value, (goal.least is None or value >= goal.least) and (goal.most is None or value <= goal.most)
