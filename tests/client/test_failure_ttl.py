"""S7: how long failed jobs are kept (research/rq.md 2.7)."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import pytest
import redis

from aioq import JobFailed, JobStatus, NoSuchJobError, Queue
from tests import jobs
from tests.client.work import gates, hold, note_and_fail, notes
from tests.conftest import Server
from tests.tools import eventually

BASE = "aioq:{default}:"
YEAR = 365 * 86_400


def ttls(raw: redis.Redis, job_id: str) -> list[int]:
    """Of every key that belongs to the job, in whole seconds (rounded up)."""
    return [-(-raw.pttl(name) // 1000) for name in raw.keys(f"*:{job_id}")]


async def test_a_failed_job_is_kept_for_a_year(queue: Queue, burst, raw: redis.Redis, key: str) -> None:  # G01
    job = await queue.enqueue(note_and_fail, key, retry=1)
    assert job.failure_ttl == YEAR
    await burst()
    assert ttls(raw, job.id) == [YEAR, YEAR]


@pytest.mark.parametrize("ttl", [300, "5m", timedelta(minutes=5)])
async def test_a_job_may_have_its_own_failure_ttl(
    queue: Queue, burst, raw: redis.Redis, key: str, ttl: Any
) -> None:  # G02, G03
    job = await queue.enqueue(note_and_fail, key, retry=1, failure_ttl=ttl)
    assert job.failure_ttl == 300
    await burst()
    assert ttls(raw, job.id) == [300, 300]


async def test_a_queue_may_have_a_default(server: Server, burst, raw: redis.Redis) -> None:
    async with Queue("default", server.url, default_failure_ttl=60) as queue:
        unset = await queue.enqueue(jobs.div_by_zero, 1)
        own = await queue.enqueue(jobs.div_by_zero, 1, failure_ttl=30)
        none = await queue.enqueue(jobs.div_by_zero, 1, failure_ttl=0)
    await burst()
    assert (ttls(raw, unset.id), ttls(raw, own.id), ttls(raw, none.id)) == ([60], [30], [])


async def test_with_0_a_failed_job_is_deleted(queue: Queue, burst, raw: redis.Redis, key: str) -> None:  # G04
    job = await queue.enqueue(note_and_fail, key, retry=1, failure_ttl=0)
    await burst()
    assert raw.keys(f"*:{job.id}") == []
    assert not raw.exists(f"{BASE}failed")
    assert await queue.failed_job_registry.count() == 0
    assert await queue.failed_job_registry.job_ids() == []
    with pytest.raises(NoSuchJobError):
        await job.result(5)


@pytest.mark.parametrize("size", [1, 20_000])
async def test_with_0_those_who_wait_hear_of_the_failure(
    queue: Queue, start_worker, key: str, size: int
) -> None:  # G04
    await start_worker()
    job = await queue.enqueue(wait_and_fail, key, size, failure_ttl=0)
    waiting = asyncio.create_task(job.result(5))
    await eventually(lambda: notes[key])
    await asyncio.sleep(0.05)
    gates[key].set()
    with pytest.raises(JobFailed, match=f"ValueError: x{{{size}}}"):
        await waiting


async def wait_and_fail(key: str, size: int) -> None:
    notes[key].append("begun")
    await gates[key].wait()
    raise ValueError("x" * size)


async def test_with_minus_1_a_failed_job_is_kept_for_ever(
    queue: Queue, burst, raw: redis.Redis, key: str
) -> None:  # G05
    job = await queue.enqueue(note_and_fail, key, retry=1, failure_ttl=-1)
    assert job.failure_ttl == -1
    await burst()
    assert [raw.pttl(name) for name in raw.keys(f"*:{job.id}")] == [-1, -1]
    assert raw.pttl(f"{BASE}failed") == -1
    await job.refresh()
    assert (job.is_failed, job.expires_at) == (True, None)
    assert await queue.failed_job_registry.job_ids() == [job.id]


async def test_a_failed_job_whose_retention_has_passed_is_seen_nowhere(
    queue: Queue, burst, raw: redis.Redis, key: str
) -> None:  # G06
    job = await queue.enqueue(note_and_fail, key, failure_ttl=0.1)
    kept = await queue.enqueue(note_and_fail, key)
    await burst()
    await eventually(lambda: not raw.exists(f"{BASE}job:{job.id}"))
    registry = queue.failed_job_registry
    assert raw.zcard(f"{BASE}failed:usual") == 1
    assert await registry.count() == 1
    assert await registry.job_ids() == [kept.id]
    assert await registry.job_ids(desc=True) == [kept.id]
    assert await registry.jobs() == [kept]
    assert not await registry.contains(job)
    assert await registry.requeue_all() == 1
    await burst()
    assert raw.zrange(f"{BASE}failed:usual", 0, -1) == [kept.id]


async def test_without_any_worker_the_registry_goes_by_itself_a_day_later(
    queue: Queue, burst, raw: redis.Redis
) -> None:  # G06
    day, year = 86_400, 365 * 86_400
    await queue.enqueue(jobs.div_by_zero, 1, failure_ttl=100)
    await queue.enqueue(jobs.div_by_zero, 1)
    await burst()

    for ending, longest in (("", 100), (":until", 100), (":usual", year)):
        assert longest + day - 60 < raw.ttl(f"{BASE}failed{ending}") <= longest + day


async def test_a_canceled_failed_job_is_kept_for_a_day(queue: Queue, burst, raw: redis.Redis, key: str) -> None:
    job = await queue.enqueue(note_and_fail, key, retry=1)  # G08
    await burst()
    await job.cancel()
    assert job.is_canceled
    assert ttls(raw, job.id) == [86_400, 86_400]
    assert await queue.failed_job_registry.count() == 0
    assert await queue.canceled_job_registry.job_ids() == [job.id]
    assert await job.get_status() == JobStatus.CANCELED


async def test_a_stopped_job_is_kept_as_long_as_a_failed_one(
    queue: Queue, start_worker, raw: redis.Redis, key: str
) -> None:
    await start_worker()
    own, unset = await queue.enqueue(hold, key, failure_ttl=300), await queue.enqueue(hold, key)
    await eventually(lambda: len(notes[key]) == 2)
    await own.stop()
    await unset.stop()
    assert (ttls(raw, own.id), ttls(raw, unset.id)) == ([300], [YEAR])


@pytest.mark.parametrize("ttl", [-5, "-2", True, "abc", 1e30])
async def test_a_failure_ttl_that_cannot_be_used_is_refused(queue: Queue, raw: redis.Redis, ttl: Any) -> None:
    with pytest.raises((ValueError, TypeError), match="failure_ttl"):
        await queue.enqueue(jobs.noop, failure_ttl=ttl)
    assert raw.keys() == []
