"""Workers: two and four on one queue; CPU seconds of all of them and the server stay flat (T15)."""

from __future__ import annotations

from collections.abc import Iterator

from benchmarks.bench import Bench, Outcome
from benchmarks.measures.drain import drain


def measure(bench: Bench) -> Iterator[Outcome]:
    yield from bench.interleave(("aioq",), _run)


def _run(bench: Bench, system: str) -> Outcome:
    count = bench.size(20_000)
    outcome = Outcome(system)
    cost = {}

    for workers in (1, 2, 4):
        took = drain(bench, system, count, workers=workers)
        cost[workers] = (took.worker_cpu + took.drained.cpu) / count * 1000
        outcome.checks += took.checks

    outcome.figures = {
        "workers.one": cost[1],
        "workers.two": cost[2] / cost[1],
        "workers.four": cost[4] / cost[1],
    }

    return outcome
