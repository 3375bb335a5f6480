"""I/O: jobs that only wait, many at once; the part of the ideal rate that is reached (T7)."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator

from benchmarks.bench import Bench, Outcome
from benchmarks.child import Talk
from benchmarks.measures.drain import drain

WAITS = {10: 100, 100: 10}  # ms, and how many rounds: each takes about a second


def measure(bench: Bench) -> Iterator[Outcome]:
    yield from bench.interleave(("aioq",), _run)


def _run(bench: Bench, system: str) -> Outcome:
    outcome = Outcome(system)
    no_op = drain(bench, system, bench.size(20_000))
    outcome.checks += no_op.checks

    for ms, full in WAITS.items():
        for width in (100, 500, 1000):
            rounds = max(5, round(full * (0.5 if bench.plan.quick else 1)))
            took = drain(bench, system, width * rounds, job="sleep", args=(ms / 1000,), concurrency=width)

            with bench.process("measures.io:sleep", width=width, rounds=rounds, seconds=ms / 1000) as alone:
                ideal = width * rounds / alone.hear("slept")

            # No worker can be faster than its no-op rate; above that, it is the limit that counts.
            outcome.figures[f"io.{ms}.{width}"] = took.rate / min(ideal, no_op.rate)
            outcome.figures[f"io.{ms}.{width}.busy"] = took.worker_cpu * took.rate / (width * rounds)
            outcome.checks += took.checks

    return outcome


async def sleep(talk: Talk, width: int, rounds: int, seconds: float) -> None:
    """The same sleeps with nothing around them. A timer of the loop is late by a part of a millisecond, too."""

    async def often() -> None:
        for _ in range(rounds):
            await asyncio.sleep(seconds)

    start = time.perf_counter()
    await asyncio.gather(*(often() for _ in range(width)))
    talk.say("slept", time.perf_counter() - start)
