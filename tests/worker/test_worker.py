"""The worker: what it is given, how many jobs run at once, and when they start."""

from __future__ import annotations

import asyncio
import threading
import time
from collections import defaultdict
from datetime import timedelta
from statistics import median_low as median
from typing import Any, Self

import pytest

from aioq import InvalidInput, JobStatus, Queue, Worker
from aioq.errors import ServerUnreachable
from tests import jobs
from tests.conftest import Server, port_of_nobody
from tests.tools import RunningWorker
from tests.worker.notes import gates, hold, note, notes

# How many at once


class Gauge:
    """How many jobs are running now, and the most that there were."""

    def __init__(self) -> None:
        self.now = self.most = 0
        self.lock = threading.Lock()

    def __enter__(self) -> Self:
        with self.lock:
            self.now += 1
            self.most = max(self.most, self.now)

        return self

    def __exit__(self, *_: object) -> None:
        with self.lock:
            self.now -= 1


gauges: defaultdict[str, Gauge] = defaultdict(Gauge)


async def gauged(key: str, most: int) -> None:
    """Runs until so many have run at once."""
    with gauges[key] as gauge:
        await asyncio.sleep(0.01)

        while gauge.most < most:
            await asyncio.sleep(0.001)


def gauged_sync(key: str, most: int) -> None:
    with gauges[key] as gauge:
        time.sleep(0.01)

        while gauge.most < most:
            time.sleep(0.001)


@pytest.mark.parametrize("function", [gauged, gauged_sync])
@pytest.mark.parametrize("concurrency", [1, 4, 20])
async def test_the_concurrency_is_reached_and_not_exceeded(
    queue: Queue, burst, key: str, function: Any, concurrency: int
) -> None:
    await queue.enqueue_many(Queue.prepare_data(function, (key, concurrency)) for _ in range(5 * concurrency))
    assert await burst(concurrency=concurrency) == 5 * concurrency
    assert gauges[key].most == concurrency
    assert gauges[key].now == 0
    assert await queue.finished_job_registry.count() == 5 * concurrency


@pytest.mark.parametrize(("function", "seconds"), [(jobs.sleep, 0.3), (jobs.sleep_sync, 0.3)])
async def test_fifty_run_at_the_same_time(queue: Queue, start_worker, function: Any, seconds: float) -> None:
    await start_worker(concurrency=50)
    begun = time.monotonic()
    made = await asyncio.gather(*(queue.enqueue(function, seconds) for _ in range(50)))
    await asyncio.gather(*(job.result(10) for job in made))
    assert time.monotonic() - begun < 1.5


async def test_a_place_is_taken_as_soon_as_it_is_free(queue: Queue, start_worker, key: str) -> None:
    await start_worker(concurrency=2)
    await queue.enqueue(hold, key)
    begun = time.monotonic()
    made = [await queue.enqueue(jobs.sleep, 0.01) for _ in range(20)]
    await asyncio.gather(*(job.result(5) for job in made))
    assert time.monotonic() - begun < 1.5
    gates[key].set()


async def test_thousands_of_jobs_all_run_once(queue: Queue, burst, key: str) -> None:
    made = await queue.enqueue_many(Queue.prepare_data(note, (key, number)) for number in range(3000))
    assert await burst() == 3000
    assert sorted(notes[key]) == list(range(3000))
    assert [await made[number].return_value() for number in (0, 1234, 2999)] == [0, 1234, 2999]


@pytest.mark.parametrize("concurrency", [0, -1, 1.5, True, "3", None])
async def test_a_concurrency_that_cannot_be_is_refused(concurrency: Any) -> None:
    with pytest.raises(InvalidInput, match="concurrency"):
        Worker("default", "redis://localhost", concurrency=concurrency)


@pytest.mark.parametrize(
    "options",
    [{"queues": []}, {"queues": "a b"}, {"queues": ["ok", ""]}, {"name": "a b"}, {"name": ""}, {"result_ttl": -5},
     {"shutdown_timeout": "x"}, {"shutdown_timeout": -1}, {"cancel_grace": "x"}, {"cancel_grace": -0.5},
     {"connection": "localhost"}, {"queues": None}, {"queues": 5}, {"queues": b"default"},
     {"prefix": ""}, {"prefix": "a b"}],
)  # fmt: skip
async def test_a_worker_that_cannot_be_is_refused(options: dict[str, Any], server: Server) -> None:
    with pytest.raises(InvalidInput):
        await Worker(**options).run(burst=True)


@pytest.mark.parametrize("options", [{"max_jobs": 0}, {"max_jobs": -1}, {"max_jobs": 1.5}, {"max_idle_time": 0}])
async def test_a_run_that_cannot_be_is_refused(server: Server, options: dict[str, Any]) -> None:
    with pytest.raises(InvalidInput):
        await Worker("default", server.url).run(**options)


# What it is given


async def test_a_worker_runs_once_at_a_time_and_again_later(server: Server, queue: Queue, start_worker) -> None:
    running: RunningWorker = await start_worker()
    with pytest.raises(RuntimeError, match="runs already"):
        await running.worker.run()
    running.worker.request_stop()
    await running.task
    await queue.enqueue(jobs.noop)
    assert await running.worker.run(burst=True) == 1


async def test_queues_may_be_given_in_every_way(server: Server, key: str) -> None:
    async with Queue("a", server.url) as first, Queue("b", server.url) as second:
        await first.enqueue(note, key, "a")
        await second.enqueue(note, key, "b")
        assert await Worker(first).run(burst=True) == 1
        assert await Worker([first, "b", "a", second], server.url).run(burst=True) == 1
        assert notes[key] == ["a", "b"]
        assert Worker([first, "b", "a", second]).queue_names == ["a", "b"]
        await first.enqueue(note, key, "again")
        assert await Worker("a", first.connection).run(burst=True) == 1
        assert await first.count() == 0, "the queue's own connection is still open"


async def test_names_are_kept_apart(server: Server) -> None:
    first, second = Worker("default", server.url, name="mine"), Worker("default", server.url, name="mine")
    assert first.name != second.name
    assert first.name.startswith("mine.")


async def test_a_server_that_is_not_there_is_an_error_at_the_start() -> None:
    port = port_of_nobody()
    with pytest.raises(ServerUnreachable, match=str(port)):
        await Worker("default", f"redis://127.0.0.1:{port}").run(burst=True)


# How soon


async def test_scheduled_jobs_start_when_they_are_due(queue: Queue, start_worker) -> None:
    await start_worker()
    made = [await queue.enqueue_in(0.1 + number / 50, jobs.noop) for number in range(10)]
    made.append(await queue.enqueue_in(0.02, jobs.noop))  # sooner than all that it knows of
    delays = []
    for job in made:
        await job.result(5)
        await job.refresh()
        delays.append(job.started_at - job.scheduled_at)
    assert min(delays) >= timedelta(0)
    assert median(delays) < timedelta(milliseconds=50)
    assert max(delays) < timedelta(milliseconds=500)


async def test_a_scheduled_job_is_started_by_a_worker_that_comes_late(queue: Queue, start_worker) -> None:
    job = await queue.enqueue_in(0.05, jobs.add, 1, 2)
    later = await queue.enqueue_in(0.3, jobs.add, 3, 4)
    await asyncio.sleep(0.1)
    await start_worker()
    assert await job.result(5) == 3
    assert await later.result(5) == 7
    await later.refresh()
    assert later.started_at - later.scheduled_at < timedelta(milliseconds=500)


async def test_a_scheduled_job_is_not_started_before_its_time(queue: Queue, start_worker, key: str) -> None:
    await start_worker()
    job = await queue.enqueue_in(0.3, note, key)
    for _ in range(10):
        await (await queue.enqueue(jobs.noop)).result(5)
    assert await job.get_status() == JobStatus.SCHEDULED
    assert notes[key] == []
    await job.result(5)
    await job.refresh()
    assert job.started_at >= job.scheduled_at
