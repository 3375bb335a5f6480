"""The doctor beside producers and workers, and on a long queue."""

from __future__ import annotations

import asyncio
import time
import tracemalloc
from collections.abc import Callable

import pytest
import redis

from aioq import Queue, Retry
from aioq.doctor import examine
from aioq.store.examination import CHUNK
from tests import jobs
from tests.conftest import Server
from tests.store.tools import job
from tests.tools import RunningWorker, assert_sound

JOBS = 2_000


async def produce(queue: Queue) -> None:
    """Jobs of all kinds, some of which are taken back while they wait or run."""
    for number in range(0, JOBS, 50):
        batch = [
            Queue.prepare_data(jobs.noop),
            Queue.prepare_data(jobs.noop, ttl=30),
            Queue.prepare_data(jobs.noop, result_ttl=0),
            Queue.prepare_data(jobs.noop, result_ttl=60),
            Queue.prepare_data(jobs.div_by_zero, (1,), retry=Retry(1)),
            Queue.prepare_data(jobs.div_by_zero, (1,), failure_ttl=60, retry=Retry(1, interval=0.01)),
        ]
        made = await queue.enqueue_many([batch[at % len(batch)] for at in range(number, number + 45)])
        made += [await queue.enqueue_in(0.01, jobs.noop, job_id=f"again-{at}") for at in range(5) if not number]
        await asyncio.gather(*(each.cancel() for each in made[::9]), return_exceptions=True)
        await asyncio.gather(*(each.delete() for each in made[4::9]))
        await queue.requeue([each.id for each in made[::18]])
        await asyncio.sleep(0)


async def test_a_busy_queue_is_sound_all_the_time(
    queue: Queue, start_worker: Callable[..., object], raw: redis.Redis
) -> None:
    for _ in range(2):
        await start_worker(concurrency=20)

    producing = asyncio.create_task(produce(queue))
    looks = 0

    while not producing.done():
        await assert_sound(queue)
        looks += 1

    await producing
    assert looks >= 3

    while not await queue.is_empty():
        await assert_sound(queue)

    await assert_sound(queue)
    counts = await queue.store.reads.count()
    assert counts["finished"] > JOBS * 0.4  # 0.47 if each cancel and delete comes before the run
    assert counts["failed"] > JOBS / 10
    assert counts["canceled"]


async def test_a_worker_that_comes_and_goes_is_no_finding(queue: Queue, server: Server) -> None:
    for _ in range(3):
        await queue.enqueue_many([Queue.prepare_data(jobs.noop) for _ in range(100)])

        async with RunningWorker(["default"], connection=server.url):
            await assert_sound(queue)

        await assert_sound(queue)


def cpu(client: redis.Redis) -> float:
    """The seconds that the server has computed so far."""
    used = client.info("cpu")
    return float(used["used_cpu_user"] + used["used_cpu_sys"])


MANY = 20_000


@pytest.fixture
async def long_queue(queue: Queue) -> Queue:
    for start in range(0, MANY, 500):
        await queue.store.producing.enqueue_many([job(f"j{number}") for number in range(start, start + 500)])

    return queue


async def test_many_jobs_take_bounded_time_and_memory(long_queue: Queue, raw: redis.Redis) -> None:
    seen = 0

    def advance(number: int) -> None:
        nonlocal seen
        seen += number

    raw.config_resetstat()
    tracemalloc.start()
    begun, served = time.process_time(), cpu(raw)

    try:
        assert await examine(long_queue, advance=advance) == []
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    # What the clock says is also what others do on this machine, so the processor's time is counted.
    served = cpu(raw) - served
    calls = raw.info("commandstats")["cmdstat_evalsha"]["calls"]
    raw.flushall()  # or the look for leaks takes longer than all of this
    assert seen >= MANY
    assert peak < 4_000_000
    assert time.process_time() - begun + served < 40
    assert calls >= seen / CHUNK
    assert served / calls < 0.01  # others are served in between
