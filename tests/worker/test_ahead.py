"""Jobs that were claimed ahead of free slots do not stay where they cannot begin; `test_slots.py` has the rest."""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict

from aioq import Job, Queue, Worker
from tests.conftest import Server
from tests.tools import eventually

gates: defaultdict[str, asyncio.Event] = defaultdict(asyncio.Event)
runs: Counter[str] = Counter()


async def quick() -> None:
    pass


async def hold(key: str, number: int) -> int:
    runs[f"{key} {number}"] += 1
    await gates[key].wait()
    return number


async def test_jobs_that_turn_out_slow_are_left_to_another_worker(queue: Queue, start_worker, key: str) -> None:
    calls = [Queue.prepare_data(quick)] * 3000 + [Queue.prepare_data(hold, (key, number)) for number in range(60)]
    jobs: list[Job[int]] = (await queue.enqueue_many(calls))[3000:]
    first = await start_worker(concurrency=20)
    await eventually(lambda: runs.total() == 20)

    # Whatever the first worker had claimed beyond its slots, a second one gets.
    second = await start_worker(concurrency=40)
    await eventually(lambda: runs.total() == 60)
    assert await queue.count() == 0

    gates[key].set()
    assert [await job.result(timeout=10) for job in jobs] == list(range(60))
    assert set(runs.values()) == {1}

    for job in jobs:
        await job.refresh()
        assert (job.attempt, job.record.deliveries) == (1, 0)

    runs.clear()
    assert first.worker.name != second.worker.name


async def test_a_worker_that_stops_gives_back_what_it_has_not_begun(queue: Queue, start_worker, key: str) -> None:
    calls = [Queue.prepare_data(quick)] * 3000 + [Queue.prepare_data(hold, (key, number)) for number in range(60)]
    await queue.enqueue_many(calls)
    running = await start_worker(concurrency=20)
    await eventually(lambda: runs.total() == 20)
    running.worker.request_stop()

    while await queue.count() < 40:
        await asyncio.sleep(0.005)

    gates[key].set()
    assert await running.task == 3020
    assert await queue.count() == 40
    assert runs.total() == 20
    runs.clear()


async def test_a_limit_of_jobs_counts_those_that_ran(queue: Queue, server: Server) -> None:
    await queue.enqueue_many([Queue.prepare_data(quick)] * 500)
    assert await Worker("default", server.url, concurrency=20).run(max_jobs=300) == 300
    assert await queue.finished_job_registry.count() == 300
    assert await queue.count() == 200
