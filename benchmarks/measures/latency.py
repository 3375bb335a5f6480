"""Latency: an idle worker, one job at a time: from enqueue to the job's body, and to the result (T6)."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator

from benchmarks import jobs
from benchmarks.bench import Bench, Outcome, percentile
from benchmarks.child import Talk
from benchmarks.crew import Crew
from benchmarks.systems import connect

#: Between two jobs, so that the worker has come to rest before the next one.
PAUSE = 0.003

#: Calls before the clock starts.
WARM = 20


def measure(bench: Bench) -> Iterator[Outcome]:
    yield from bench.interleave(("aioq", "floor", *bench.peers("latency")), _run)


def _run(bench: Bench, system: str) -> Outcome:
    waits, check = wait(bench, system, bench.size(2_000, system=system))
    figures = {}

    for what, values in waits.items():
        p50, p99 = (percentile(values, part) * 1000 for part in (0.5, 0.99))
        figures |= {f"latency.{what}.p50": p50, f"latency.{what}.p99": p99, f"latency.{what}.spread": p99 / p50}

    return Outcome(system, figures, [check])


def wait(bench: Bench, system: str, count: int) -> tuple[dict[str, list[float]], tuple[str, bool]]:
    """The seconds until so many jobs began, and until their results came: `start` and `result`; and a check."""
    with (
        bench.server() as server,
        Crew(bench, system, server.url) as crew,
        bench.process("measures.latency:client", system=system, url=server.url, count=count) as client,
    ):
        waits = client.hear("waits")
        crew.await_ended(count + WARM)

        return waits, crew.check(count + WARM)


async def client(talk: Talk, system: str, url: str, count: int) -> None:
    client = await connect(system, url)
    waits: dict[str, list[float]] = {"start": [], "result": []}

    for index in range(count + WARM):
        if index == WARM:
            waits = {"start": [], "result": []}

        start = time.perf_counter()
        began = await client.result(await client.enqueue(jobs.clock, index))
        waits["start"].append(began - start)
        waits["result"].append(time.perf_counter() - start)
        await asyncio.sleep(PAUSE)

    talk.say("waits", waits)
    await client.aclose()
