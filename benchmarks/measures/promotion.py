"""Promotion: many jobs that are due at the same moment, and what others feel of it (T13)."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime

from redis.asyncio import Redis

from benchmarks import jobs
from benchmarks.bench import Bench, Outcome, percentile
from benchmarks.child import Talk
from benchmarks.crew import Crew
from benchmarks.roles import CALL
from benchmarks.systems import load

#: Scripts that take longer are noted by the server, in µs.
SLOW = 1_000

#: Enqueueing ahead of time goes at least this fast, in jobs/s; and the seconds that are left before the moment.
PACE, SPARE = 6_000, 4.0


def measure(bench: Bench) -> Iterator[Outcome]:
    for turn in range(bench.plan.repeat):
        for name, size in (("one", 1), ("four", 4)):
            bench.step(f"aioq, {size} workers, {turn + 1} of {bench.plan.repeat}")
            yield _run(bench, "aioq", name, size)


def _run(bench: Bench, system: str, name: str, size: int) -> Outcome:
    count = bench.size(100_000)

    with bench.server() as server, Crew(bench, system, server.url, size=size) as crew:
        server.client.config_set("slowlog-log-slower-than", SLOW)
        server.client.config_set("slowlog-max-len", 10_000)
        moment = time.time() + SPARE + count / PACE

        with (
            bench.process(
                "measures.promotion:schedule", system=system, url=server.url, count=count, moment=moment
            ) as client,
            bench.process("measures.promotion:observe", system=system, url=server.url, moment=moment) as observer,
        ):
            early = moment - client.hear("scheduled")
            crew.await_ended(count)
            watched = observer.ask("stop")
            slow = server.client.slowlog_get(10_000)
            checks = [(f"all were scheduled {early:.1f} s before they were due", early > 0), crew.check(count)]

    # Jobs report on the clock that all processes share; the moment is on the wall's.
    done = crew.last + time.time() - time.perf_counter()
    figures = {
        f"promotion.{name}.rate": count / (watched["empty"] - moment),
        f"promotion.{name}.done": count / (done - moment),
        f"promotion.{name}.p99": percentile(watched["pings"], 0.99) * 1000,
    }

    if name == "four":
        figures["promotion.four.longest"] = max((each["duration"] for each in slow), default=0) / 1000

    return Outcome(system, figures, checks)


async def schedule(talk: Talk, system: str, url: str, count: int, moment: float) -> None:
    client = load(system).Client(url)
    due = datetime.fromtimestamp(moment, UTC)

    for start in range(0, count, CALL):
        await asyncio.gather(
            *(client.enqueue_at(due, jobs.note, index) for index in range(start, min(start + CALL, count)))
        )

    talk.say("scheduled", time.time())
    await client.aclose()


async def observe(talk: Talk, system: str, url: str, moment: float) -> None:
    """Ping the server every few ms until all are promoted, and note when that is.

    It goes before the workers on their core, so that it is the server that it waits for.
    """
    with suppress(PermissionError):
        os.nice(-10)

    client, redis = load(system).Client(url), Redis.from_url(url, protocol=2)
    await redis.ping()
    await client.scheduled()
    pings: list[float] = []
    empty = 0.0
    await asyncio.sleep(max(0, moment - time.time()))

    while not empty:
        for _ in range(4):
            start = time.perf_counter()
            await redis.ping()
            pings.append(time.perf_counter() - start)
            await asyncio.sleep(0.003)

        if not await client.scheduled():
            empty = time.time()

    async for word in talk.words():
        if word == "stop":
            talk.say("stop", {"pings": pings, "empty": empty})

    await redis.aclose()
    await client.aclose()
