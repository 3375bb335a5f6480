"""Threads: what a plain function costs more than a coroutine (T16)."""

from __future__ import annotations

from collections.abc import Iterator

from benchmarks.bench import Bench, Outcome
from benchmarks.measures.drain import drain


def measure(bench: Bench) -> Iterator[Outcome]:
    yield from bench.interleave(("aioq",), _run)


def _run(bench: Bench, system: str) -> Outcome:
    count = bench.size(10_000)
    coroutine = drain(bench, system, count)
    plain = drain(bench, system, count, job="note_plain")
    figures = {"threads.overhead": (1 / plain.rate - 1 / coroutine.rate) * 1e6, "threads.rate": plain.rate}

    return Outcome(system, figures, coroutine.checks + plain.checks)
