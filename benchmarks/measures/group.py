"""Group: a large group, beside the same jobs without one: enqueue, drain, its end, its memory (T20)."""

from __future__ import annotations

from collections.abc import Iterator

from benchmarks.bench import Bench, Outcome
from benchmarks.peers import has
from benchmarks.shapes import GROUP, PLAIN, TOLD, run


def measure(bench: Bench) -> Iterator[Outcome]:
    yield from bench.interleave(("aioq", "floor", *bench.peers(GROUP)), _run)


def _run(bench: Bench, system: str) -> Outcome:
    count = bench.size(100_000, system=system)
    plain = run(bench, system, PLAIN, count)
    figures = {"group.plain.enqueue": count / plain.enqueue, "group.plain.drain": count / plain.drain}

    if not has(system, GROUP):
        return Outcome(system, figures, plain.checks)

    told = TOLD if has(system, TOLD) else ""
    ran = run(bench, system, GROUP, count, told)
    figures |= {
        "group.enqueue": count / ran.enqueue,
        "group.enqueue.part": plain.enqueue / ran.enqueue,
        "group.drain": count / ran.drain,
        "group.drain.part": plain.drain / ran.drain,
        "group.queued": (ran.queued - plain.queued) / count,
        "group.ended": (ran.ended - plain.ended) / count,
    }

    if told:
        figures["group.told"] = (ran.moment - ran.last) * 1000

    return Outcome(system, figures, plain.checks + ran.checks)
