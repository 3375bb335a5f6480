"""A worker at its server: several queues, several workers, pauses and suspensions, and what it tells of itself."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
import redis

from aioq import JobStatus, Queue, Worker, get_current_job
from aioq.store import Connection, Directory
from tests import jobs
from tests.conftest import Server
from tests.tools import eventually
from tests.worker.notes import gates, hold, note, notes

# Several queues, several workers


async def test_a_job_of_the_first_queue_goes_before_all_of_the_second(
    queue: Queue, server: Server, key: str, connection: Connection
) -> None:
    high, low = Queue("high", connection), Queue("low", connection)
    for number in range(5):
        await low.enqueue(note, key, f"low {number}")
    for number in range(5):
        await high.enqueue(note, key, f"high {number}")
    await low.enqueue(note, key, "low front", at_front=True)
    assert await Worker(["high", "low"], server.url, concurrency=1).run(burst=True) == 11
    assert notes[key] == [
        *(f"high {number}" for number in range(5)),
        "low front",
        *(f"low {number}" for number in range(5)),
    ]


async def test_two_workers_share_a_queue_and_no_job_runs_twice(queue: Queue, start_worker, key: str) -> None:
    workers = [await start_worker(concurrency=5) for _ in range(2)]
    made = await asyncio.gather(*(queue.enqueue(note_worker, key) for _ in range(600)))
    await asyncio.gather(*(job.result(20) for job in made))
    assert len(notes[key]) == 600
    runs = Counter(job_id for job_id, _ in notes[key])
    assert set(runs.values()) == {1}
    names = Counter(name for _, name in notes[key])
    assert set(names) == {running.worker.name for running in workers}
    assert min(names.values()) > 30, "both have work to do"


async def note_worker(key: str) -> None:
    job = get_current_job()
    notes[key].append((job.id, job.worker_name))
    await asyncio.sleep(0.002)


# Pausing and suspending


async def test_a_paused_queue_is_left_and_the_others_are_served(
    queue: Queue, start_worker, connection: Connection, key: str
) -> None:
    other = Queue("other", connection)
    await start_worker("default", "other")
    await queue.pause()
    paused = await queue.enqueue(note, key, "paused")
    assert await (await other.enqueue(jobs.add, 1, 2)).result(5) == 3
    assert await paused.get_status() == JobStatus.QUEUED
    await queue.resume()
    await paused.result(5)


async def test_suspended_workers_claim_nothing_until_they_are_resumed(
    queue: Queue, start_worker, connection: Connection, key: str
) -> None:
    await start_worker("default", "other", "new")
    directory = Directory(connection)
    running = await queue.enqueue(hold, key)
    await eventually(lambda: notes[key])
    await directory.suspend()
    assert await directory.is_suspended()
    made = [await Queue(name, connection).enqueue(note, key, name) for name in ("default", "other", "new")]
    gates[key].set()
    assert await running.result(5) == key, "what runs goes on"
    await asyncio.sleep(0.1)
    assert [await job.get_status() for job in made] == ["queued"] * 3
    begun = time.monotonic()
    await directory.resume()
    for job in made:
        await job.result(5)
    assert time.monotonic() - begun < 0.9, "not only when they look again"
    assert not await directory.is_suspended()


async def test_a_suspension_may_end_by_itself(
    queue: Queue, start_worker, connection: Connection, raw: redis.Redis
) -> None:
    await start_worker()
    await Directory(connection).suspend(200)
    job = await queue.enqueue(jobs.add, 1, 2)
    with pytest.raises(TimeoutError):
        await job.result(0.1)
    assert await job.result(5) == 3


# What it tells of itself


async def test_a_worker_tells_of_itself(queue: Queue, start_worker, connection: Connection, key: str) -> None:
    running = await start_worker("default", "other", concurrency=7, name="mine")
    await eventually(lambda: _workers(connection))
    (info,) = await Directory(connection).workers()
    assert info.name == running.worker.name
    assert (info.queues, info.concurrency, info.state, info.running) == (["default", "other"], 7, "idle", 0)


async def _workers(connection: Connection) -> list[Any]:
    return await Directory(connection).workers()


async def test_a_server_that_deletes_jobs_when_its_memory_is_full_is_named(
    own_server: Callable[..., Server], caplog: pytest.LogCaptureFixture
) -> None:
    server = own_server("--maxmemory", "100mb", "--maxmemory-policy", "allkeys-lru")
    await Worker("default", server.url).run(burst=True)
    assert "deletes jobs when its memory is full: set maxmemory-policy allkeys-lru to noeviction" in caplog.text
