"""How a worker stops, warm and cold, and the limits at which it is done."""

from __future__ import annotations

import asyncio
import threading
import time
from typing import Any

import pytest
import redis

from aioq import JobStatus, Queue, Worker
from tests import jobs
from tests.conftest import Server
from tests.tools import RunningWorker, eventually
from tests.worker.notes import gates, hold, hold_sync, note, notes

# Stopping


async def test_a_stop_lets_running_jobs_end_and_claims_no_more(queue: Queue, start_worker, key: str) -> None:
    running: RunningWorker = await start_worker(concurrency=1)
    job = await queue.enqueue(hold, key)
    await eventually(lambda: notes[key])
    running.worker.request_stop()
    waiting = await queue.enqueue(note, key, "not claimed")
    await asyncio.sleep(0.05)
    assert not running.task.done()
    gates[key].set()
    assert await running.task == 1
    assert await job.get_status() == JobStatus.FINISHED
    assert await waiting.get_status() == JobStatus.QUEUED
    assert notes[key] == ["begun", "done"]


@pytest.mark.parametrize("function", [hold, hold_sync])
async def test_when_the_grace_is_over_jobs_go_back_to_the_front(
    queue: Queue, start_worker, key: str, function: Any
) -> None:
    running: RunningWorker = await start_worker(concurrency=1, shutdown_timeout=0.1)
    job = await queue.enqueue(function, key, retry=1)
    waiting = await queue.enqueue(note, key)
    await eventually(lambda: notes[key])
    begun = time.monotonic()
    running.worker.request_stop()
    await running.task
    assert 0.09 < time.monotonic() - begun < 1.5
    assert await queue.job_ids() == [job.id, waiting.id]
    await job.refresh()
    assert (job.attempt, job.deliveries, job.retries_left) == (0, 1, 1)
    assert [each.type for each in await job.results()] == ["interrupted"]
    await eventually(lambda: notes[key][-1] in ("canceled", "RunEnded"))

    gates[key].set()
    await start_worker()
    assert await job.result(5) == key
    await job.refresh()
    assert (job.attempt, job.deliveries, job.fence) == (1, 1, 2)


async def test_a_second_request_hands_jobs_back_at_once(queue: Queue, start_worker, key: str) -> None:
    running: RunningWorker = await start_worker(shutdown_timeout=60)
    job = await queue.enqueue(hold, key)
    await eventually(lambda: notes[key])
    begun = time.monotonic()
    running.worker.request_stop()
    await asyncio.sleep(0.05)
    running.worker.request_stop()
    await running.task
    assert time.monotonic() - begun < 1
    assert await job.get_status() == JobStatus.QUEUED
    assert notes[key] == ["begun", "canceled"]


async def test_a_job_that_ends_well_when_it_is_interrupted_is_finished(
    queue: Queue, start_worker, key: str
) -> None:
    running: RunningWorker = await start_worker()
    job = await queue.enqueue(save_and_return, key)
    await eventually(lambda: notes[key])
    running.worker.request_stop()
    running.worker.request_stop()
    await running.task
    assert await job.return_value() == "saved"


async def save_and_return(key: str) -> str:
    notes[key].append("begun")
    try:
        await asyncio.sleep(60)
    except asyncio.CancelledError:
        return "saved"
    return "not interrupted"


async def test_many_jobs_are_handed_back_in_their_order(queue: Queue, start_worker, key: str) -> None:
    made = [await queue.enqueue(hold, key) for _ in range(20)]
    running: RunningWorker = await start_worker(concurrency=10)
    await eventually(lambda: len(notes[key]) == 10)
    running.worker.request_stop()
    running.worker.request_stop()
    await running.task
    assert await queue.job_ids() == [job.id for job in made]


async def test_a_worker_whose_task_is_cancelled_hands_its_jobs_back(
    queue: Queue, server: Server, raw: redis.Redis, key: str
) -> None:
    worker, ready = Worker("default", server.url), asyncio.Event()
    task = asyncio.create_task(worker.run(ready=ready.set))
    await ready.wait()
    job = await queue.enqueue(hold, key)
    await eventually(lambda: notes[key])
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert notes[key] == ["begun", "canceled"]
    assert await queue.job_ids() == [job.id]
    assert (await job.get_status(), job.attempt) == (JobStatus.QUEUED, 0)
    assert not raw.exists("aioq:{default}:leases"), "it has signed off"
    assert not raw.smembers("aioq:workers")


async def test_a_stopped_worker_leaves_no_trace(queue: Queue, start_worker, raw: redis.Redis) -> None:
    before = len(raw.client_list())
    threads = threading.active_count()
    running: RunningWorker = await start_worker()
    await (await queue.enqueue(jobs.noop, result_ttl=1)).result(5)
    await eventually(lambda: raw.keys("aioq:worker:*"))
    assert running.worker.name in raw.smembers("aioq:workers")
    running.worker.request_stop()
    await running.task
    await eventually(lambda: not raw.keys("*:job:*"))
    assert raw.keys("aioq:worker*") == []
    assert not raw.exists("aioq:{default}:leases", "aioq:{default}:lane:main", "aioq:{default}:lane:front")
    await eventually(lambda: len(raw.client_list()) <= before + 2)  # those of the queue, and its subscription
    assert threading.active_count() <= threads + 1  # anyio keeps threads for the next plain function


async def test_a_stop_before_a_run_holds_for_that_run_alone(server: Server, queue: Queue) -> None:
    await queue.enqueue(jobs.noop)
    worker = Worker("default", server.url)
    worker.request_stop()
    assert await asyncio.wait_for(worker.run(), 5) == 0
    assert await queue.count() == 1
    assert await worker.run(burst=True) == 1


async def test_a_stop_before_the_run_and_after_it_does_no_harm(server: Server, queue: Queue) -> None:
    worker = Worker("default", server.url)
    assert await worker.run(burst=True) == 0
    worker.request_stop()
    await queue.enqueue(jobs.noop)
    assert await Worker("default", server.url).run(burst=True) == 1


# When to be done


async def test_burst_runs_what_is_there_and_ends(queue: Queue, server: Server, key: str) -> None:
    worker = Worker("default", server.url)
    assert await worker.run(burst=True) == 0
    await queue.enqueue(enqueue_another, key, 3, server.url)
    await queue.enqueue_in(60, note, key, "later")
    assert await worker.run(burst=True) == 4
    assert notes[key] == [3, 2, 1, 0]


async def enqueue_another(key: str, number: int, url: str) -> None:
    notes[key].append(number)
    if number:
        async with Queue("default", url) as queue:
            await queue.enqueue(enqueue_another, key, number - 1, url)


async def test_burst_waits_for_running_jobs_and_for_retries_at_once(queue: Queue, burst, key: str) -> None:
    job = await queue.enqueue(fail_slowly, key, retry=2)
    assert await burst() == 3
    assert await job.get_status() == JobStatus.FAILED


async def fail_slowly(key: str) -> None:
    await asyncio.sleep(0.05)
    raise ValueError("on purpose")


@pytest.mark.parametrize(("max_jobs", "concurrency"), [(1, 10), (3, 1), (7, 2), (100, 10)])
async def test_max_jobs_is_the_most_that_are_claimed(
    queue: Queue, server: Server, key: str, max_jobs: int, concurrency: int
) -> None:
    await queue.enqueue_many(Queue.prepare_data(note, (key, number)) for number in range(10))
    worker = Worker("default", server.url, concurrency=concurrency)
    if max_jobs > 10:
        assert await worker.run(max_jobs=max_jobs, burst=True) == 10
    else:
        assert await worker.run(max_jobs=max_jobs) == max_jobs
    assert sorted(notes[key]) == list(range(min(10, max_jobs)))
    assert await queue.count() == 10 - min(10, max_jobs)
    assert await queue.finished_job_registry.count() == min(10, max_jobs)


async def test_max_idle_time_ends_an_idle_worker(queue: Queue, server: Server, key: str) -> None:
    job = await queue.enqueue(jobs.sleep, 0.4)
    begun = time.monotonic()
    assert await Worker("default", server.url).run(max_idle_time=0.2) == 1
    assert 0.55 <= time.monotonic() - begun < 1.5
    assert await job.get_status() == JobStatus.FINISHED


async def test_burst_leaves_a_paused_queue(queue: Queue, burst, key: str) -> None:
    await queue.enqueue(note, key)
    await queue.pause()
    assert await burst() == 0
    assert await queue.count() == 1
