"""Waits that cannot end are told: for a job's own result by an error, for jobs that find no slot in the log."""

from __future__ import annotations

import asyncio
import logging
import re
import time
from collections import defaultdict
from collections.abc import Iterator
from typing import Any

import pytest

from aioq import Connection, JobFailed, Queue, get_current_job
from aioq.client.waits import waits
from aioq.worker import deadlock
from tests import jobs
from tests.tools import eventually

ids: defaultdict[str, dict[str, str]] = defaultdict(dict)


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    monkeypatch.setattr(deadlock, "CHECK_S", 0.05)
    monkeypatch.setattr(deadlock, "TELL_S", 0.3)
    caplog.set_level(logging.WARNING, "aioq.worker")
    yield
    assert not waits


async def own() -> Any:
    return await get_current_job().result()


async def own_in_a_task() -> Any:
    async with asyncio.TaskGroup() as group:
        task = group.create_task(get_current_job().result(timeout=60))
    return task.result()


async def own_fetched(url: str) -> Any:
    async with Queue("default", url) as queue:
        return await (await queue.fetch_job(get_current_job().id)).result()


def own_in_thread(url: str) -> Any:
    return asyncio.run(own_fetched(url))


async def parent(url: str, queue: str = "default", function: Any = "tests.jobs.noop") -> Any:
    async with Queue(queue, url) as queue:
        return await (await queue.enqueue(function)).result()


def parent_in_thread(url: str) -> Any:
    return asyncio.run(parent(url))


async def wait_for_the_other(url: str, key: str, me: str, other: str) -> Any:
    ids[key][me] = get_current_job().id
    await eventually(lambda: other in ids[key])
    async with Queue("default", url) as queue:
        return await (await queue.fetch_job(ids[key][other])).result()


@pytest.mark.parametrize(
    ("function", "executor"),
    [(own, "thread"), (own_in_a_task, "thread"), (own_fetched, "thread"), (own_in_thread, "thread"),
     (own_in_thread, "process")],
)  # fmt: skip
async def test_a_wait_for_the_own_result_is_refused_at_once(
    queue: Queue, server: Any, start_worker, function: Any, executor: str
) -> None:
    await start_worker(job_processes=1)
    args = (server.url,) if function in (own_fetched, own_in_thread) else ()
    begun = time.monotonic()
    job = await queue.enqueue(function, *args, job_timeout=30, executor=executor)

    with pytest.raises(JobFailed, match=f"InvalidJobOperation: job {job.id} waits for its own result"):
        await job.result(20)

    assert time.monotonic() - begun < 10


async def test_a_job_of_the_same_id_elsewhere_is_another_one(server: Any, start_worker) -> None:
    async with Queue("default", server.url) as here, Queue("default", server.url, prefix="other") as there:
        await start_worker()
        await start_worker(connection=Connection(server.url, prefix="other"))
        job = await here.enqueue(forward, server.url, job_id="same")
        assert await job.result(10) == 3
        assert there.connection.identity != here.connection.identity

    with server.client() as client:  # another prefix is no one's to clean up
        client.flushall()


async def forward(url: str) -> Any:
    async with Queue("default", url, prefix="other") as queue:
        return await (await queue.enqueue(jobs.add, 1, 2, job_id=get_current_job().id)).result()


@pytest.mark.parametrize("function", [parent, parent_in_thread])
@pytest.mark.parametrize("concurrency", [1, 3])
async def test_jobs_that_wait_in_all_slots_are_named(
    queue: Queue, server: Any, start_worker, caplog: pytest.LogCaptureFixture, concurrency: int, function: Any
) -> None:
    await start_worker(concurrency=concurrency, cancel_grace=0.1)
    parents = [await queue.enqueue(function, server.url) for _ in range(concurrency)]
    await eventually(lambda: len(told(caplog)) == concurrency)

    for job in parents:
        (text,) = [each for each in told(caplog) if f"(job {job.id}) waits" in each]
        assert f"{job.func_name} (job {job.id}) waits for " in text
        assert re.search(r" waits for tests\.jobs\.noop \(job \w+\) of queue default, which is queued", text)
        assert f"all {concurrency} slots of this worker are taken" in text

    await asyncio.sleep(0.3)
    assert len(told(caplog)) == concurrency  # once each
    await start_worker()  # which has slots

    for job in parents:
        assert await job.result(10) is None


async def test_nothing_is_said_where_the_wait_can_end(
    queue: Queue, server: Any, start_worker, caplog: pytest.LogCaptureFixture
) -> None:
    running = await start_worker(concurrency=2)
    # One slot does something else and will be free; the other worker's queue is no affair of this one.
    waiting = await queue.enqueue(parent, server.url)
    busy = await queue.enqueue(jobs.sleep, 1)
    await eventually(lambda: len(waits) == 1)
    await asyncio.sleep(0.6)
    await asyncio.gather(waiting.result(10), busy.result(10))
    elsewhere = [await queue.enqueue(parent, server.url, "elsewhere") for _ in range(2)]
    await eventually(lambda: len(waits) == 2)
    await asyncio.sleep(0.6)
    await start_worker("elsewhere")
    await asyncio.gather(*(job.result(10) for job in elsewhere))
    assert not running.task.done()
    assert told(caplog) == []


async def test_jobs_that_wait_for_each_other_are_named(
    queue: Queue, server: Any, start_worker, caplog: pytest.LogCaptureFixture, key: str
) -> None:
    await start_worker()
    names = ["a", "b", "c"]
    ring = [
        await queue.enqueue(wait_for_the_other, server.url, key, me, other, job_id=f"{key}-{me}")
        for me, other in zip(names, [*names[1:], names[0]], strict=True)
    ]
    await eventually(lambda: len(told(caplog)) == 3)
    assert all("Neither can end" in each for each in told(caplog))

    for job in ring:
        await job.cancel()

    await eventually(lambda: not waits)


async def test_outside_of_jobs_nothing_is_noted(queue: Queue, start_worker) -> None:
    job = await queue.enqueue(jobs.sleep, 0.2)
    await start_worker()
    wait = asyncio.create_task(job.result(10))
    await asyncio.sleep(0.05)
    assert not waits
    await wait


def told(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [each.getMessage() for each in caplog.records if " waits for " in each.getMessage()]
