"""Recovery: workers are killed (SIGKILL) in the middle of a job while another one lives (T14)."""

from __future__ import annotations

import random
import statistics
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

from benchmarks.bench import Bench, Outcome
from benchmarks.crew import Crew
from benchmarks.process import Process

#: Pairs of a victim and a survivor that live at the same time, in a database each; and victims of the crowd.
PAIRS = 10

#: Between two kills, in seconds: so they come at any moment of a beat.
LEAST, MOST = 0.4, 1.4

#: How long survivors and victims live before the first kill: they have no common rhythm then.
SETTLE = 4.0

#: How long a job blocks the event loop of its worker, in seconds: many leases.
BLOCK = 60.0

#: The longest that a job is waited for after its worker's death.
PATIENCE = 60.0


def measure(bench: Bench) -> Iterator[Outcome]:
    waits: list[float] = []
    outcome = Outcome("aioq")

    for turn in range(1 if bench.plan.quick else 3):
        bench.step(f"aioq, {PAIRS} workers are killed, each beside one that lives, {turn + 1}")
        waits += _kill(bench, outcome, range(PAIRS), 1)

    outcome.figures |= {
        "recovery.p50": statistics.median(waits),
        "recovery.p99": statistics.quantiles(waits, n=100, method="inclusive")[-1],
        "recovery.max": max(waits),
    }
    bench.step(f"aioq, {PAIRS} workers are killed beside one that lives")
    crowd = _kill(bench, outcome, [0], PAIRS)
    outcome.figures |= {"recovery.crowd.p50": statistics.median(crowd), "recovery.crowd.max": max(crowd)}
    outcome.figures["recovery.blocker.runs"] = _block(bench, outcome)
    yield outcome


def _block(bench: Bench, outcome: Outcome) -> int:
    """A job blocks the event loop of its worker, beside another worker. How often it ran."""
    seconds = BLOCK / 5 if bench.plan.quick else BLOCK
    bench.step(f"aioq, a job blocks its event loop for {seconds:g} s")

    with tempfile.TemporaryDirectory() as folder, bench.server() as server, ExitStack() as stack:
        path = str(Path(folder) / "begun")
        filling = {"system": "aioq", "url": server.url, "job": "block", "count": 1, "args": [path, seconds]}
        filler = stack.enter_context(bench.process("roles:fill", **filling))
        filler.hear("ready")
        filler.ask("fill")
        stack.enter_context(bench.process("roles:worker", system="aioq", url=server.url, concurrency=1))
        _await_lines(path, 1)
        stack.enter_context(Crew(bench, "aioq", server.url))
        _await_lines(path, 2, seconds + SETTLE)
        right, runs = filler.ask("check"), len(_lines(path))

    outcome.checks.append(("the job that blocked its event loop has its result", right == 1))

    return runs


def _kill(bench: Bench, outcome: Outcome, databases: Sequence[int], victims_each: int) -> list[float]:
    """In each database: victims with a job each, one survivor, then kills. Seconds until each job began again."""
    kills = len(databases) * victims_each

    with tempfile.TemporaryDirectory() as folder, bench.server() as server, ExitStack() as stack:
        victims: list[tuple[Process, str]] = []
        fillers, survivors = [], []

        for database in databases:
            url, path = server.url_of(database), str(Path(folder) / f"begun-{database}")
            filling = {"system": "aioq", "url": url, "job": "hold", "count": victims_each, "args": [path]}
            fillers.append(stack.enter_context(bench.process("roles:fill", **filling)))
            fillers[-1].hear("ready")
            fillers[-1].ask("fill")
            spec = {"system": "aioq", "url": url, "concurrency": 1}

            for _ in range(victims_each):
                victim = stack.enter_context(bench.process("roles:worker", {"BENCHMARK_VICTIM": "1"}, **spec))
                victims.append((victim, path))

            _await_lines(path, victims_each)
            survivors.append(stack.enter_context(Crew(bench, "aioq", url)))

        time.sleep(SETTLE)
        killed = []

        for victim, path in victims:
            time.sleep(random.uniform(LEAST, MOST))
            (index,) = (index for index, _, pid in _lines(path) if pid == victim.pid)
            killed.append((path, index, time.perf_counter()))
            victim.kill()

        for path in {path for _, path in victims}:
            _await_lines(path, 2 * victims_each)

        time.sleep(0.5)
        alive = {crew.workers[0].pid for crew in survivors}
        again = [
            (path, index, moment)
            for path in {path for _, path in victims}
            for index, moment, pid in _lines(path)
            if pid in alive
        ]
        right = sum(filler.ask("check") for filler in fillers)

    begun = {(path, index): moment for path, index, moment in again}
    outcome.checks += [
        (f"{len(again)} bodies began again after {kills} kills, each once", len(begun) == len(again) == kills),
        (f"{right} of {kills} jobs have their result", right == kills),
    ]

    return [begun[path, index] - moment for path, index, moment in killed if (path, index) in begun]


def _lines(path: str) -> list[tuple[int, float, int]]:
    """What jobs wrote down: index, moment, process."""
    rows = [line.split() for line in Path(path).read_text().splitlines()] if Path(path).exists() else []

    return [(int(index), float(moment), int(pid)) for index, moment, pid in rows]


def _await_lines(path: str, count: int, patience: float = PATIENCE) -> None:
    deadline = time.monotonic() + patience

    while len(_lines(path)) < count and time.monotonic() < deadline:
        time.sleep(0.02)
