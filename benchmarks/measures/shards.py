"""Shards: one worker on twelve queues, of one server or of a Cluster: what a job costs all of them together.

On a machine with a core for each server, what stays flat here is what grows there.
"""

from __future__ import annotations

from collections.abc import Iterator

from benchmarks.bench import Bench, Outcome
from benchmarks.measures.drain import drain

COUNTS = {"none": 0, "one": 1, "three": 3, "six": 6}


def measure(bench: Bench) -> Iterator[Outcome]:
    for outcome in bench.interleave(("spread",), _run):
        outcome.system = "aioq"
        yield outcome


def _run(bench: Bench, system: str) -> Outcome:
    count = bench.size(20_000)
    outcome = Outcome(system)
    cost = {}

    for name, shards in COUNTS.items():
        took = drain(bench, system, count, shards=shards)
        cost[name] = (took.worker_cpu + took.drained.cpu) / count * 1000
        outcome.checks += took.checks

    outcome.figures = {
        f"shards.{name}": cost[name] / (cost["none"] if shards else 1) for name, shards in COUNTS.items()
    }

    return outcome
