"""Depth: what a job costs in a long queue, and beside many jobs that have ended or wait for their time (T8).

The floor runs on the same two servers, in a stream of its own that is always short. What it costs more on the full
one is what the machine's caches and the server's tables cost; what aioq costs beyond that is its own.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from benchmarks import jobs
from benchmarks.bench import Bench, Outcome
from benchmarks.child import Talk
from benchmarks.crew import Crew
from benchmarks.roles import CALL
from benchmarks.server import Server
from benchmarks.systems import load


def measure(bench: Bench) -> Iterator[Outcome]:
    long, longest = sizes(bench)
    note = f"depth: {long:,} and {longest:,} jobs stand for 100 k and 1 M" if longest != 1_000_000 else ""

    # Both servers live at the same time, so that each ratio is of two measures side by side. Both have enqueued as
    # many jobs before: the memory of a server that has just begun is laid out better, whatever it holds.
    with bench.server() as shallow:
        bench.step(f"aioq, {longest:,} jobs that go again")
        _make(bench, shallow, "queued", longest)
        shallow.client.flushdb()

        for place, count in (
            ("queued.100k", long),
            ("queued.1M", longest),
            ("failed.1M", longest),
            ("scheduled.1M", longest),
            ("finished.1M", longest),
        ):
            with bench.server() as deep:
                state = place.split(".")[0]
                bench.step(f"aioq, making {count:,} {state} jobs")
                made = _make(bench, deep, state, count)

                for turn in range(bench.plan.repeat):
                    for system in ("aioq", "floor"):
                        bench.step(f"{system}, {place}, {turn + 1} of {bench.plan.repeat}")
                        base, base_check = _cost(bench, system, shallow, bench.size(5_000))
                        cost, cost_check = _cost(bench, system, deep, bench.size(5_000))
                        figures = {"depth.base": base, f"depth.{place}": cost / base}
                        yield Outcome(system, figures, [made, base_check, cost_check], [note] if note else [])


def sizes(bench: Bench) -> tuple[int, int]:
    """How many jobs stand for 100 k and for 1 M."""
    long, longest = (40_000, 400_000) if bench.plan.quick else (100_000, 1_000_000)

    return bench.size(long), bench.size(longest)


def _cost(bench: Bench, system: str, server: Server, count: int) -> tuple[float, tuple[str, bool]]:
    """CPU of client, worker and server in µs, for enqueueing so many jobs and running as many."""
    filling = {"system": system, "url": server.url, "job": "note", "count": count, "args": ()}
    server.settle()

    with bench.process("roles:fill", **filling) as filler:
        filler.hear("ready")
        # What the server does by itself while processes start is left out: a full one has more of it.
        before = server.usage().cpu
        cpu = filler.ask("fill")
        cpu += server.usage().cpu - before

        with Crew(bench, system, server.url, limit=count) as crew:
            before = server.usage().cpu
            crew.await_ended(count)
            cpu += crew.cpu + server.usage().cpu - before
            check = crew.check(count)

    return cpu / count * 1e6, check


def _make(bench: Bench, server: Server, state: str, count: int) -> tuple[str, bool]:
    """Bring a server to have so many jobs in a state."""
    if state == "scheduled":
        with bench.process("measures.depth:schedule", system="aioq", url=server.url, count=count) as scheduler:
            made = scheduler.hear("scheduled")

        return f"{made} of {count} jobs are scheduled", made == count

    job = "fail" if state == "failed" else "answer"
    filling = {"system": "aioq", "job": job, "count": count, "args": (), "indexed": job == "fail"}
    # Of queued jobs the first are run by the measures, which count them by their index.
    filling |= {"job": "note", "indexed": True} if state == "queued" else {}

    with bench.process("roles:fill", url=server.url, **filling) as filler:
        filler.hear("ready")
        filler.ask("fill")

    if state == "queued":
        return f"{count} jobs are queued", True

    with Crew(bench, "aioq", server.url) as crew:
        crew.await_ended(count)

    return f"{crew.ended:.0f} of {count} jobs are {state}", crew.ended == count


async def schedule(talk: Talk, system: str, url: str, count: int) -> None:
    """Jobs that are due tomorrow, none of them in this benchmark's time."""
    client = load(system).Client(url)
    moment = datetime.now(UTC) + timedelta(days=1)

    for start in range(0, count, CALL):
        await asyncio.gather(
            *(client.enqueue_at(moment, jobs.note, index) for index in range(start, min(start + CALL, count)))
        )

    talk.say("scheduled", await client.scheduled())
    await client.aclose()
