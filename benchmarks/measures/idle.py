"""Idle: what a worker takes that has nothing to do (T11)."""

from __future__ import annotations

import time
from collections.abc import Iterator

from benchmarks.bench import Bench, Outcome
from benchmarks.crew import Crew
from benchmarks.machine import cpu_seconds

#: Three beats and two blocking reads, and more.
SECONDS = 24.0
SETTLE = 3.0


def measure(bench: Bench) -> Iterator[Outcome]:
    bench.step(f"aioq, {SECONDS:g} s of nothing")
    seconds = SECONDS if bench.plan.quick else 3 * SECONDS

    with bench.server() as server, Crew(bench, "aioq", server.url) as crew:
        (worker,) = crew.workers
        time.sleep(SETTLE)
        before, cpu = server.usage(), cpu_seconds(worker.pid)
        time.sleep(seconds)
        cpu, used = cpu_seconds(worker.pid) - cpu, server.usage() - before
        figures = {
            "idle.cpu": 100 * cpu / seconds,
            "idle.commands": used.commands / seconds,
            "idle.trips": used.trips / seconds,
            "idle.connections": server.connections(),
        }
        crew.look()
        yield Outcome("aioq", figures, [("no job ran", crew.ended == 0)])
