"""S4: how long results are kept (research/rq.md 2.4)."""

from __future__ import annotations

import asyncio
import threading
import time
from datetime import timedelta
from statistics import median
from typing import Any

import pytest
import redis

from aioq import JobFailed, JobStatus, NoSuchJobError, Queue, Retry
from aioq.errors import ResultNotKept
from tests import jobs
from tests.client.work import fail_until, gates, hold, notes
from tests.tools import eventually

JOB = "aioq:{default}:job:"
BASE = "aioq:{default}:"


def ttls(raw: redis.Redis, job_id: str) -> list[int]:
    """Of every key that belongs to the job, in whole seconds (rounded up)."""
    return [-(-raw.pttl(name) // 1000) for name in raw.keys(f"*:{job_id}")]


async def test_a_result_is_kept_for_500_seconds(queue: Queue, burst, raw: redis.Redis) -> None:  # D01
    job = await queue.enqueue(jobs.add, 1, 2)
    assert job.result_ttl == 500
    await burst()
    assert ttls(raw, job.id) == [500]
    assert await job.return_value() == 3


@pytest.mark.parametrize(("ttl", "seconds"), [(600, 600), ("10m", 600), (timedelta(minutes=10), 600), (1.5, 2)])
async def test_a_job_may_have_its_own_result_ttl(
    queue: Queue, burst, raw: redis.Redis, ttl: Any, seconds: int
) -> None:  # D02
    job = await queue.enqueue(jobs.add, 1, 2, result_ttl=ttl)
    await burst()
    assert ttls(raw, job.id) == [seconds]


async def test_the_history_is_kept_as_long_as_the_result(queue: Queue, burst, raw: redis.Redis, key: str) -> None:
    job = await queue.enqueue(fail_until, key, 2, retry=1, result_ttl=60)  # D01
    await burst()
    assert await job.return_value() == 2
    assert ttls(raw, job.id) == [60, 60]


async def test_with_0_the_result_is_not_kept_but_the_end_can_be_seen(
    queue: Queue, burst, raw: redis.Redis
) -> None:  # D03
    job = await queue.enqueue(jobs.add, 1, 2, result_ttl=0)
    assert job.result_ttl == 0
    await burst()
    assert await job.get_status() == JobStatus.FINISHED

    for read in (job.return_value, job.result):
        with pytest.raises(ResultNotKept, match="was not kept"):
            await read()

    latest = await job.latest_result()
    assert (latest.type, latest.exc_info) == ("finished", None)

    with pytest.raises(ResultNotKept):
        _ = latest.return_value

    assert not raw.hexists(f"{BASE}job:{job.id}", "data")
    assert ttls(raw, job.id) == [5]


@pytest.mark.parametrize("size", [1, 100_000])
async def test_with_0_the_result_is_given_to_those_who_wait(
    queue: Queue, start_worker, raw: redis.Redis, key: str, size: int
) -> None:  # D03
    await start_worker()
    job = await queue.enqueue(wait_and_return, key, size, result_ttl=0)
    waiting = asyncio.create_task(job.result(5))
    await eventually(lambda: notes[key] and raw.hget(f"{JOB}{job.id}", "after"))
    gates[key].set()
    assert await waiting == "x" * size


async def wait_and_return(key: str, size: int) -> str:
    notes[key].append("begun")
    await gates[key].wait()
    return "x" * size


async def test_with_minus_1_the_result_is_kept_for_ever(queue: Queue, burst, raw: redis.Redis, key: str) -> None:
    job = await queue.enqueue(fail_until, key, 2, retry=1, result_ttl=-1)  # D04
    assert job.result_ttl == -1
    await burst()
    await job.refresh()
    assert (job.is_finished, job.expires_at) == (True, None)
    assert [raw.pttl(name) for name in raw.keys(f"*:{job.id}")] == [-1, -1]
    assert raw.pttl(f"{BASE}finished") == -1
    assert await queue.finished_job_registry.count() == 1


@pytest.mark.parametrize("ttl", [-5, -0.5, "-2"])
async def test_another_negative_result_ttl_is_refused(queue: Queue, raw: redis.Redis, ttl: Any) -> None:  # D05
    with pytest.raises(ValueError, match="result_ttl"):
        await queue.enqueue(jobs.noop, result_ttl=ttl)
    assert raw.keys() == []


async def test_none_is_a_result(queue: Queue, burst) -> None:  # D06
    job = await queue.enqueue(jobs.noop)
    assert await job.latest_result() is None
    await burst()
    latest = await job.latest_result()
    assert (latest.type, latest.return_value) == ("finished", None)
    assert job.is_finished
    assert await job.result(5) is None
    assert await job.return_value() is None


def unserialisable() -> object:
    return threading.Lock()


async def test_a_result_that_cannot_be_serialised_fails_the_job(queue: Queue, burst) -> None:  # D07
    job = await queue.enqueue(unserialisable)
    await burst()
    with pytest.raises(
        JobFailed, match=r"SerializationError.*result of tests\.client.test_result_ttl.unserialisable"
    ):
        await job.result(5)
    assert await job.get_status() == JobStatus.FAILED


async def test_a_wait_that_takes_too_long_is_a_timeout(queue: Queue) -> None:  # D08
    job = await queue.enqueue(jobs.noop)
    begun = time.monotonic()
    with pytest.raises(TimeoutError, match=job.id):
        await job.result(0.2)
    assert 0.2 <= time.monotonic() - begun < 0.5


async def test_a_wait_ends_with_the_job(queue: Queue, start_worker, key: str) -> None:  # D08
    await start_worker()
    pauses = []
    for number in range(5):
        job = await queue.enqueue(hold, f"{key}-{number}")
        waiting = asyncio.create_task(job.result(5))
        await eventually(lambda number=number: notes[f"{key}-{number}"])
        await asyncio.sleep(0.02)
        begun = time.monotonic()
        gates[f"{key}-{number}"].set()
        await waiting
        pauses.append(time.monotonic() - begun)
    assert median(pauses) < 0.05


async def test_a_result_that_has_expired_is_seen_nowhere(queue: Queue, burst, raw: redis.Redis) -> None:  # D11
    job = await queue.enqueue(jobs.add, 1, 2, result_ttl=0.1)
    kept = await queue.enqueue(jobs.add, 1, 2)
    await burst()
    await eventually(lambda: not raw.exists(f"{BASE}job:{job.id}"))
    registry = queue.finished_job_registry
    assert raw.zcard(f"{BASE}finished:usual") == 1
    assert await registry.count() == 1
    assert await registry.job_ids() == [kept.id]
    assert await registry.jobs() == [kept]
    assert not await registry.contains(job)
    assert await queue.fetch_job(job.id) is None
    with pytest.raises(NoSuchJobError):
        await job.result(5)
    await burst()  # a worker sweeps
    assert raw.zcard(f"{BASE}finished:usual") == 1


async def test_a_worker_may_have_a_default(queue: Queue, burst, raw: redis.Redis) -> None:  # D12
    unset, own = await queue.enqueue(jobs.noop), await queue.enqueue(jobs.noop, result_ttl=30)
    await burst(result_ttl=60)
    assert (ttls(raw, unset.id), ttls(raw, own.id)) == ([60], [30])


async def test_a_retry_does_not_begin_the_retention(
    queue: Queue, start_worker, raw: redis.Redis, key: str
) -> None:
    await start_worker()
    job = await queue.enqueue(fail_until, key, 2, retry=Retry(1, interval=0.2), result_ttl=0.1)
    await eventually(lambda: raw.hget(f"{BASE}job:{job.id}", "status") == "scheduled")
    assert [raw.pttl(name) for name in raw.keys(f"*:{job.id}")] == [-1, -1]
    assert await job.result(5) == 2
