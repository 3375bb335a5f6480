"""Paced: jobs that arrive at random moments at a given rate, or all at once, and what they then cost and wait."""

from __future__ import annotations

import asyncio
import random
import time
from dataclasses import dataclass

from benchmarks import jobs
from benchmarks.bench import Bench, percentile
from benchmarks.child import Talk
from benchmarks.crew import Crew
from benchmarks.systems import load

#: Jobs before the clock starts: they open connections and load scripts.
WARM = 200

#: Jobs come together at a timer of so many seconds: the loop's own is no finer.
TICK = 0.001


@dataclass(frozen=True)
class Measured:
    """What a real run brought, in the words of a simulated one."""

    rate: float
    p50: float
    p99: float
    client_us: float
    server_us: float
    worker_us: float
    check: tuple[str, bool]


def run(bench: Bench, *, rate: float, count: int, seconds: float, slots: int, workers: int = 1) -> Measured:
    """Let so many jobs arrive, run and end.

    Args:
        bench: starts server and processes.
        rate: jobs per second; 0 is all at once.
        count: how many.
        seconds: that each of them waits for I/O.
        slots: of each worker.
        workers: processes.

    """
    with (
        bench.server() as server,
        Crew(bench, "aioq", server.url, concurrency=slots, size=workers) as crew,
        bench.process(
            "paced:produce", system="aioq", url=server.url, rate=rate, count=count, seconds=seconds
        ) as producer,
    ):
        producer.hear("ready")
        crew.await_ended(WARM)
        used, cpu = server.usage(), crew.cpu
        producer.say("go")
        # Workers that are asked how far they are would take part of what is measured. So this waits here.
        producer.hear("stored")
        time.sleep(0.2 if rate else count / 20_000)
        crew.await_ended(count + WARM)
        used, cpu = server.usage() - used, crew.cpu - cpu
        check = crew.check(count + WARM)
        took = producer.ask("waits")

    return Measured(
        rate=count / (crew.last - took["first"]),
        p50=percentile(took["waits"], 0.5),
        p99=percentile(took["waits"], 0.99),
        client_us=took["cpu"] / count * 1e6,
        server_us=used.cpu / count * 1e6,
        worker_us=cpu / count * 1e6,
        check=check,
    )


async def produce(talk: Talk, system: str, url: str, rate: float, count: int, seconds: float) -> None:
    """Enqueue each job at its moment, without waiting for the one before."""
    client = load(system).Client(url)
    arrivals = random.Random(1)
    await asyncio.gather(*(client.enqueue(jobs.pause, -index, 0) for index in range(1, WARM + 1)))
    talk.say("ready")

    async for word in talk.words():
        if word == "go":
            first = time.perf_counter()
            cpu, due = time.process_time(), 0.0
            called: list[float] = []
            tasks = []

            while len(called) < count:
                now = time.perf_counter()

                while len(called) < count and due <= now - first:
                    due += arrivals.expovariate(rate) if rate else 0
                    tasks.append(asyncio.create_task(client.enqueue(jobs.pause, len(called), seconds)))
                    called.append(now)

                await asyncio.sleep(TICK)

            handles = await asyncio.gather(*tasks)
            cpu = time.process_time() - cpu
            talk.say("stored")
        elif word == "waits":
            seen = await client.look(handles)
            waits = [each.value - moment for each, moment in zip(seen, called, strict=True)]
            talk.say("waits", {"first": first, "cpu": cpu, "waits": waits})

    await client.aclose()
