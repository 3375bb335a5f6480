"""I/O: jobs that only wait, many at once; the part of the ideal rate that is reached (T7)."""

from __future__ import annotations

from collections.abc import Iterator

from benchmarks.bench import Bench, Outcome
from benchmarks.measures.drain import drain

WAITS = {10: 100, 100: 10}  # ms, and how many rounds: each takes about a second


def measure(bench: Bench) -> Iterator[Outcome]:
    yield from bench.interleave(("aioq",), _run)


def _run(bench: Bench, system: str) -> Outcome:
    outcome = Outcome(system)
    no_op = drain(bench, system, bench.size(20_000))
    outcome.checks += no_op.checks

    for ms, rounds in WAITS.items():
        for width in (100, 500, 1000):
            count = width * max(5, round(rounds * (0.5 if bench.plan.quick else 1)))
            took = drain(bench, system, count, job="sleep", args=(ms / 1000,), concurrency=width)
            # No worker can be faster than its no-op rate; above that, it is the limit that counts.
            ideal = min(width / ms * 1000, no_op.rate)
            outcome.figures[f"io.{ms}.{width}"] = took.rate / ideal
            outcome.checks += took.checks

    return outcome
