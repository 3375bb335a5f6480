"""Processes: what a plain function in a process of its own costs more than a coroutine (T16)."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from benchmarks.bench import Bench, Outcome
from benchmarks.crew import STALLED, Crew
from benchmarks.measures.drain import drain

#: How often it is looked how far the jobs are, in seconds.
LOOK = 0.2


class Line(NamedTuple):
    """What a job has written down: which it was, when it ran, and in which process."""

    index: int
    moment: float
    pid: int


def measure(bench: Bench) -> Iterator[Outcome]:
    yield from bench.interleave(("aioq",), _run)


def _run(bench: Bench, system: str) -> Outcome:
    count = bench.size(10_000)
    coroutine = drain(bench, system, count)
    outcome = Outcome(system, checks=coroutine.checks)
    rate = _drain(bench, system, count, outcome)
    outcome.figures = {"processes.overhead": (1 / rate - 1 / coroutine.rate) * 1e6, "processes.rate": rate}

    return outcome


def _drain(bench: Bench, system: str, count: int, outcome: Outcome) -> float:
    """Jobs each second, from the moment when all processes run: how long they take to start is not counted."""
    with tempfile.TemporaryDirectory() as folder, bench.server() as server:
        path = Path(folder) / "ran"
        filling = {"system": system, "url": server.url, "job": "note_apart", "count": count, "args": [str(path)]}

        with bench.process("roles:fill", **filling) as filler:
            filler.hear("ready")
            filler.ask("fill")

            with Crew(bench, system, server.url) as crew:
                lines = _await_lines(path, count)
                workers = {worker.pid for worker in crew.workers}

            right = filler.ask("check")

    once = len({line.index for line in lines})
    pids = {line.pid for line in lines}
    outcome.checks += [
        (f"{once} of {count} jobs ran once", once == count == len(lines)),
        (f"they ran in {len(pids)} processes, and none in the worker's", not pids & workers),
        (f"{right} of {count} results are stored and right", right == count),
    ]
    begun = max(min(line.moment for line in lines if line.pid == pid) for pid in pids)

    return sum(line.moment > begun for line in lines) / (max(line.moment for line in lines) - begun)


def _await_lines(path: Path, count: int) -> list[Line]:
    """What has been written down, once it is all or nothing more comes."""
    lines, progress = 0, time.monotonic()

    while lines < count and time.monotonic() - progress < STALLED:
        time.sleep(LOOK)
        found = path.read_bytes().count(b"\n") if path.exists() else 0

        if found != lines:
            lines, progress = found, time.monotonic()

    time.sleep(LOOK)  # the last outcome still travels
    rows = [line.split() for line in path.read_text().splitlines()]

    return [Line(int(index), float(moment), int(pid)) for index, moment, pid in rows]
