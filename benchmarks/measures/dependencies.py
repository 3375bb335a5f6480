"""Dependencies: many jobs after one, one after many, and a chain, beside the same jobs without them (T19)."""

from __future__ import annotations

from collections.abc import Iterator

from benchmarks.bench import Bench, Outcome, percentile
from benchmarks.measures.latency import wait
from benchmarks.peers import GRAPHS, has, peer
from benchmarks.shapes import CHAIN, FAN_IN, FAN_OUT, PLAIN, RELEASED, run


def measure(bench: Bench) -> Iterator[Outcome]:
    yield from bench.interleave(("aioq", "floor", *bench.peers(*GRAPHS)), _run)


def _run(bench: Bench, system: str) -> Outcome:
    outcome = Outcome(system)
    _many(bench, outcome)
    _chain(bench, outcome)

    return outcome


def _many(bench: Bench, outcome: Outcome) -> None:
    """The plain jobs; then as many of which all wait for one, or one waits for all."""
    system, figures = outcome.system, outcome.figures
    count = _size(bench, system, 10_000)
    plain = run(bench, system, PLAIN, count)
    outcome.checks += plain.checks
    figures |= {"dependencies.enqueue": count / plain.enqueue, "dependencies.drain": count / plain.drain}

    for shape in (FAN_OUT, FAN_IN):
        if has(system, shape):
            ran = run(bench, system, shape, count)
            outcome.checks += ran.checks
            figures |= {
                f"dependencies.{shape}.enqueue": count / ran.enqueue,
                f"dependencies.{shape}.enqueue.times": ran.enqueue / plain.enqueue,
                f"dependencies.{shape}.drain": count / ran.drain,
                f"dependencies.{shape}.drain.times": ran.drain / plain.drain,
            }

    if system == "aioq":
        # In a run of its own, because a client that looks how many still wait takes time of the worker's core.
        ran = run(bench, system, FAN_OUT, count, RELEASED)
        outcome.checks += ran.checks
        released = ran.moment - ran.first
        figures |= {
            "dependencies.fan_out.released": released * 1000,
            "dependencies.fan_out.released.times": released / plain.enqueue,
        }


def _chain(bench: Bench, outcome: Outcome) -> None:
    """One lone job after the other; then a chain of jobs."""
    system, figures = outcome.system, outcome.figures
    waits, check = wait(bench, system, bench.size(500, system=system))
    outcome.checks.append(check)
    lone = percentile(waits["result"], 0.5) * 1000
    figures["dependencies.lone"] = lone

    if has(system, CHAIN):
        count = _size(bench, system, 1_000)
        ran = run(bench, system, CHAIN, count)
        outcome.checks += ran.checks
        link = ran.drain / (count - 1) * 1000
        figures |= {
            "dependencies.chain.enqueue": count / ran.enqueue,
            "dependencies.chain": link,
            "dependencies.chain.times": link / lone,
        }


def _size(bench: Bench, system: str, full: int) -> int:
    """How many jobs; some systems have a limit."""
    found = peer(system)
    count = bench.size(full, system=system)

    return min(count, found.most) if found and found.most else count
