"""A burst takes back what a killed worker held, and waits for nobody else."""

from __future__ import annotations

import asyncio
import time

import pytest

from aioq import Job, JobStatus, Queue, Worker
from aioq.store.duty import Duty
from tests import jobs
from tests.conftest import Server
from tests.tools import eventually

#: How long a dead worker is still believed alive, in ms; and the longest that a burst may take that waits for
#: nobody.
LEFT_MS, AT_ONCE_S = 2_000, 1.5


async def held_by_a_dead_worker(
    queue: Queue, *, name: str = "dead", lease_ms: int = LEFT_MS, count: int = 1
) -> None:
    """Jobs that a worker has claimed which beats no more."""
    for _ in range(count):
        await queue.enqueue(jobs.add, 1, 2)

    await queue.store.duty.join(name, lease_ms)
    reply = await queue.connection.call(queue.store.duty.claim_command(name, count))
    assert len(queue.store.duty.read_claims(reply, name).jobs) == count


async def _is_started(job: Job) -> bool:
    return await job.get_status() is JobStatus.STARTED


async def seconds_of(worker: Worker, **run: object) -> tuple[int, float]:
    """How many jobs a worker claims until it ends, and in which time."""
    began = time.monotonic()

    return await asyncio.wait_for(worker.run(**run), 30), time.monotonic() - began  # type: ignore[arg-type]


async def test_a_burst_runs_the_jobs_of_a_dead_worker(queue: Queue, server: Server) -> None:
    await held_by_a_dead_worker(queue, count=3)
    claimed, seconds = await seconds_of(Worker("default", server.url), burst=True)

    assert claimed == 3
    assert LEFT_MS / 1000 - 0.5 < seconds
    assert await queue.finished_job_registry.count() == 3
    assert await queue.store.duty.late_workers() == []


async def test_it_runs_what_waits_meanwhile(queue: Queue, server: Server) -> None:
    await held_by_a_dead_worker(queue)
    waiting = [await queue.enqueue(jobs.add, number, 1) for number in range(20)]
    began = time.monotonic()
    burst = asyncio.create_task(Worker("default", server.url).run(burst=True))
    await asyncio.gather(*(job.result(timeout=10) for job in waiting))

    assert time.monotonic() - began < LEFT_MS / 1000
    assert await burst == 21


@pytest.mark.parametrize("concurrency", [1, 100])
async def test_several_dead_workers_on_several_queues(queue: Queue, server: Server, concurrency: int) -> None:
    other = Queue("other", queue.connection)
    await held_by_a_dead_worker(queue, name="a", count=2)
    await held_by_a_dead_worker(other, name="b", lease_ms=LEFT_MS + 500)
    await held_by_a_dead_worker(other, name="c", lease_ms=LEFT_MS, count=3)
    worker = Worker(["default", "other"], server.url, concurrency=concurrency)
    claimed, _ = await seconds_of(worker, burst=True)

    assert claimed == 6


async def test_a_burst_with_max_jobs(queue: Queue, server: Server) -> None:
    await held_by_a_dead_worker(queue, count=3)
    claimed, _ = await seconds_of(Worker("default", server.url), burst=True, max_jobs=2)
    assert claimed == 2

    claimed, seconds = await seconds_of(Worker("default", server.url), burst=True, max_jobs=2)
    assert claimed == 1  # they have all come back to the queue, so nobody is waited for
    assert seconds < AT_ONCE_S


async def test_a_worker_that_ends_when_it_is_idle(queue: Queue, server: Server) -> None:
    await held_by_a_dead_worker(queue)
    claimed, seconds = await seconds_of(Worker("default", server.url), max_idle_time=1)

    assert claimed == 1
    assert seconds < 11


async def test_a_worker_that_beats_and_holds_jobs_is_not_waited_for(
    queue: Queue, server: Server, start_worker
) -> None:
    await start_worker()
    long = await queue.enqueue(jobs.sleep, 60)
    await eventually(lambda: _is_started(long))
    claimed, seconds = await seconds_of(Worker("default", server.url), burst=True)

    assert claimed == 0
    assert seconds < 4
    await long.cancel()


async def test_a_dead_worker_without_jobs_is_not_waited_for(queue: Queue, server: Server) -> None:
    await queue.store.duty.join("dead", 60_000)
    await queue.enqueue(jobs.add, 1, 2)
    claimed, seconds = await seconds_of(Worker("default", server.url), burst=True)

    assert claimed == 1
    assert seconds < AT_ONCE_S


async def test_a_paused_queue_is_left(queue: Queue, server: Server) -> None:
    await held_by_a_dead_worker(queue)
    await queue.pause()
    claimed, seconds = await seconds_of(Worker("default", server.url), burst=True)

    assert claimed == 0
    assert seconds < AT_ONCE_S


async def test_a_stop_ends_the_wait(queue: Queue, server: Server) -> None:
    await held_by_a_dead_worker(queue, lease_ms=60_000)
    worker = Worker("default", server.url)
    burst = asyncio.create_task(worker.run(burst=True))
    await asyncio.sleep(1)
    assert not burst.done()
    worker.request_stop()

    assert await asyncio.wait_for(burst, 5) == 0


async def test_nobody_is_asked_for_where_no_burst_is(
    queue: Queue, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []
    monkeypatch.setattr(Duty, "holders_command", lambda *_: asked.append(1))
    await queue.enqueue(jobs.add, 1, 2)

    assert await Worker("default", server.url).run(max_jobs=1) == 1
    assert asked == []
