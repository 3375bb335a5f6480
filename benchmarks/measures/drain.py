"""Drain: a full queue of no-op jobs, one worker process, 100 at once, results kept (T1, T9)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from benchmarks.bench import Bench, Outcome
from benchmarks.crew import Crew
from benchmarks.peers import peer
from benchmarks.server import Usage


class Drained(NamedTuple):
    """What one drain took: rate, CPU seconds of the workers, and what the server used to fill and to drain."""

    rate: float
    worker_cpu: float
    filled: Usage
    drained: Usage
    checks: list[tuple[str, bool]]


def measure(bench: Bench) -> Iterator[Outcome]:
    yield from bench.interleave(("aioq", "floor", *bench.peers("drain")), _run)


def _run(bench: Bench, system: str) -> Outcome:
    count = bench.size(20_000, system=system)
    took = drain(bench, system, count)

    return Outcome(
        system,
        {
            "drain.rate": took.rate,
            "drain.worker": took.worker_cpu / count * 1e6,
            "drain.server": took.drained.cpu / count * 1e6,
            "drain.commands": took.drained.commands / count,
            "drain.trips": took.drained.trips / count,
            "drain.both": (took.filled.cpu + took.drained.cpu) / count * 1000,
        },
        took.checks,
    )


def drain(
    bench: Bench,
    system: str,
    count: int,
    *,
    job: str = "note",
    args: tuple[Any, ...] = (),
    concurrency: int | None = None,
    workers: int = 1,
    shards: int = 0,
) -> Drained:
    """Fill a queue, then let workers empty it. The clock runs from the first job's begin to the last one's end."""
    with bench.shards(shards) if shards else bench.server() as server:
        filling = {"system": system, "url": server.url, "job": job, "count": count, "args": args}

        with bench.process("roles:fill", **filling) as filler:
            filler.hear("ready")
            empty = server.usage()
            filler.ask("fill")
            full = server.usage()

            with Crew(bench, system, server.url, concurrency=concurrency, size=workers) as crew:
                crew.await_ended(count)
                used = server.usage() - full
                checks = [crew.check(count)]

            if (found := peer(system)) is None or found.results:
                right = filler.ask("check")
                checks.append((f"{right} of {count} results are stored and right", right == count))

    return Drained(count / (crew.last - crew.first), crew.cpu, full - empty, used, checks)
