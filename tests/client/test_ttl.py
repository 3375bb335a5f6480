"""S3: time to live for a job in the queue (research/rq.md 2.3)."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
import redis

from aioq import Job, JobStatus, NoSuchJobError, Queue, Retry
from aioq.errors import JobExpired, TimeoutFormatError
from tests import jobs
from tests.client.work import fail_until, gates, hold, note, note_and_fail, notes
from tests.conftest import Server
from tests.tools import eventually

#: What is counted of a queue is kept for a day, and for thirty days.
STATISTICS = tuple(f"aioq:{{default}}:{name}" for name in ("minutes:", "hours:", "tallied:", "departed"))

JOB = "aioq:{default}:job:"


def clock_ms(raw: redis.Redis) -> int:
    seconds, micros = raw.time()
    return seconds * 1000 + micros // 1000


async def expire(job: Job[Any]) -> None:
    """Wait until the job's ttl has passed; reading is all that is done."""
    await eventually(lambda: _is_expired(job))


async def _is_expired(job: Job[Any]) -> bool:
    return await job.get_status() == JobStatus.EXPIRED


async def test_the_deadline_is_the_servers_time_of_the_enqueue_and_the_ttl(queue: Queue, raw: redis.Redis) -> None:
    before = clock_ms(raw)  # C01
    job = await queue.enqueue(jobs.add, 1, 2, ttl=43)
    after = clock_ms(raw)
    assert job.ttl == 43
    assert job.expires_at - job.created_at == timedelta(seconds=43)
    assert before <= job.created_at.timestamp() * 1000 <= after
    fetched = await queue.fetch_job(job.id)
    assert (fetched.ttl, fetched.expires_at) == (43, job.expires_at)


async def test_a_job_that_was_created_before_has_its_ttl_from_the_enqueue(queue: Queue) -> None:  # C02
    job = Job.create(jobs.add, (1, 2), ttl=43)
    assert job.ttl == 43
    job = await queue.enqueue_job(job)
    assert job.expires_at - job.created_at == timedelta(seconds=43)


async def test_a_job_that_has_waited_too_long_is_never_started(queue: Queue, burst, key: str) -> None:  # C03
    job = await queue.enqueue(note, key, ttl=0.05)
    await expire(job)
    other = await queue.enqueue(note, key, "other")
    await burst()
    assert notes[key] == ["other"]
    assert other.id in await queue.finished_job_registry.job_ids()
    assert await job.get_status() == JobStatus.EXPIRED
    assert await queue.expired_job_registry.job_ids() == [job.id]
    assert await queue.expired_job_registry.count() == 1
    with pytest.raises(JobExpired):
        await job.result(5)


async def test_an_expired_job_is_not_seen_in_the_queue_even_if_no_worker_has_looked(
    queue: Queue, raw: redis.Redis
) -> None:  # C04, C05, C06, C07, C08
    job = await queue.enqueue(jobs.noop, ttl=0.05)
    other = await queue.enqueue(jobs.noop)
    assert await queue.job_ids() == [job.id, other.id]
    await expire(job)
    before = raw.dump(f"{JOB}{job.id}")

    assert await queue.count() == 1
    assert await queue.job_ids() == [other.id]
    assert await queue.jobs() == [other]
    assert await job.get_position() is None
    assert await other.get_position() == 0
    assert await queue.expired_job_registry.job_ids() == [job.id]
    assert await queue.expired_job_registry.contains(job)
    assert (await job.get_status(), job.is_expired, job.is_failed, job.is_queued) == (
        "expired",
        True,
        False,
        False,
    )
    assert (await queue.fetch_job(job.id)).is_expired
    assert job.ended_at == job.created_at + timedelta(milliseconds=50)
    assert raw.dump(f"{JOB}{job.id}") == before  # reading has changed nothing


async def test_an_expired_job_can_be_seen_for_an_hour(queue: Queue, raw: redis.Redis, burst) -> None:  # C07
    unseen, swept = await queue.enqueue(jobs.noop, ttl=0.05), await queue.enqueue(jobs.noop, ttl=0.05)
    await expire(swept)
    assert 3_599_000 < raw.pttl(f"{JOB}{unseen.id}") <= 3_600_000  # also if no worker ever looks
    await burst()
    assert 3_599_000 < raw.pttl(f"{JOB}{swept.id}") <= 3_600_000
    raw.pexpire(f"{JOB}{swept.id}", 1)  # the hour has passed
    await eventually(lambda: not raw.exists(f"{JOB}{swept.id}"))
    with pytest.raises(NoSuchJobError):
        await swept.get_status()
    assert await queue.fetch_job(swept.id) is None


async def test_expiry_leaves_nothing_but_the_record_and_its_registry(
    queue: Queue, raw: redis.Redis, burst
) -> None:  # C09
    job = await queue.enqueue(jobs.noop, ttl=0.05)
    await expire(job)
    await burst()
    kept = {key for key in raw.keys() if key.startswith(STATISTICS)}
    assert all(raw.pttl(key) > 0 for key in kept)
    assert sorted(set(raw.keys()) - kept) == [
        "aioq:queues",
        "aioq:{default}:expired:usual",
        "aioq:{default}:format",
        "aioq:{default}:job:" + job.id,
        "aioq:{default}:wake",
    ]
    assert 0 < raw.ttl("aioq:{default}:wake") <= 60


async def test_a_running_job_is_not_touched_by_its_ttl(
    queue: Queue, start_worker, raw: redis.Redis, key: str
) -> None:  # C11
    await start_worker()
    job = await queue.enqueue(hold, key, ttl=0.15, result_ttl=60)
    await eventually(lambda: notes[key])
    assert raw.pttl(f"{JOB}{job.id}") == -1
    await asyncio.sleep(0.25)
    assert await job.get_status() == JobStatus.STARTED
    gates[key].set()
    assert await job.result(5) == key
    assert 59_000 < raw.pttl(f"{JOB}{job.id}") <= 60_000


async def test_claim_or_expiry_is_decided_once(queue: Queue, start_worker, key: str) -> None:  # C12
    # A slow consumer: the deadlines of most jobs fall between its claims.
    await start_worker(concurrency=2)
    enqueued = [await queue.enqueue(note_slowly, key, number, ttl=0.1) for number in range(80)]
    await eventually(lambda: _all_ended(enqueued))
    finished = [number for number, job in enumerate(enqueued) if job.is_finished]
    expired = [number for number, job in enumerate(enqueued) if job.is_expired]
    assert sorted(finished + expired) == list(range(80))
    assert sorted(notes[key]) == finished
    assert len(finished) > 0 < len(expired)
    assert await queue.count() == 0
    assert await queue.finished_job_registry.count() == len(finished)
    assert await queue.expired_job_registry.count() == len(expired)


async def note_slowly(key: str, number: int) -> None:
    notes[key].append(number)
    await asyncio.sleep(0.01)


async def _all_ended(enqueued: list[Job[Any]]) -> bool:
    for job in enqueued:
        if not job.status.is_final:
            await job.refresh()
    return all(job.status.is_final for job in enqueued)


@pytest.mark.parametrize("ttl", [0, -1, 0.0, -0.5, "0", timedelta(0), timedelta(seconds=-1)])
async def test_a_ttl_that_is_not_positive_is_refused(queue: Queue, raw: redis.Redis, ttl: Any) -> None:  # C13, C14
    with pytest.raises(ValueError, match="ttl"):
        await queue.enqueue(jobs.noop, ttl=ttl)
    with pytest.raises(ValueError, match="ttl"):
        Job.create(jobs.noop, ttl=ttl)
    assert raw.keys() == []


@pytest.mark.parametrize(
    ("ttl", "seconds"),
    [
        ("43", 43), ("1m", 60), ("2D", 172_800), (1.9, 1.9), (timedelta(minutes=2), 120), ("1h30m", 5400),
        ("250ms", 0.25), (43, 43), (0.0001, 0.001),
    ],
)  # fmt: skip
async def test_every_way_to_write_a_duration(queue: Queue, ttl: Any, seconds: float) -> None:  # C15
    assert Job.create(jobs.noop, ttl=ttl).ttl == seconds
    assert (await queue.enqueue(jobs.noop, ttl=ttl)).ttl == seconds


@pytest.mark.parametrize("ttl", [True, [43], b"43", object()])
async def test_a_ttl_of_another_type_is_refused(queue: Queue, raw: redis.Redis, ttl: Any) -> None:  # C15
    with pytest.raises(TypeError, match="ttl"):
        await queue.enqueue(jobs.noop, ttl=ttl)
    assert raw.keys() == []


@pytest.mark.parametrize("ttl", ["abc", "", "1x", "m", "1h-30m", float("inf"), float("nan"), 1e30, "999999999w"])
async def test_a_ttl_that_cannot_be_read_is_refused(queue: Queue, raw: redis.Redis, ttl: Any) -> None:  # C16
    with pytest.raises(TimeoutFormatError, match="ttl"):
        await queue.enqueue(jobs.noop, ttl=ttl)
    assert raw.keys() == []


async def test_without_a_ttl_a_job_waits_for_ever(queue: Queue, raw: redis.Redis) -> None:  # C17
    job = await queue.enqueue(jobs.noop, ttl=None)
    assert (job.ttl, job.expires_at) == (None, None)
    assert raw.pttl(f"{JOB}{job.id}") == -1
    assert not raw.exists("aioq:{default}:expiring")


async def test_a_queue_may_have_a_default_ttl(server: Server) -> None:  # C17
    async with Queue("default", server.url, default_ttl=43) as queue:
        assert (await queue.enqueue(jobs.noop)).ttl == 43
        assert (await queue.enqueue(jobs.noop, ttl=5)).ttl == 5


async def test_the_time_before_a_job_is_due_does_not_count(queue: Queue, start_worker) -> None:  # C18
    await start_worker()
    job = await queue.enqueue_in(0.3, jobs.add, 1, 2, ttl=0.1)
    assert (job.ttl, job.expires_at) == (0.1, None)
    assert await job.result(5) == 3


async def test_the_pause_before_a_retry_does_not_count(queue: Queue, start_worker, key: str) -> None:  # C21
    await start_worker()
    job = await queue.enqueue(fail_until, key, 2, retry=Retry(1, interval=0.3), ttl=0.1)
    assert await job.result(5) == 2
    assert notes[key] == [1, 2]


async def test_a_retry_at_once_waits_with_a_ttl_of_its_own(
    queue: Queue, burst, key: str, raw: redis.Redis
) -> None:
    job = await queue.enqueue(fail_slowly, key, retry=1, ttl=0.5)  # C22
    await burst()
    await job.refresh()
    assert job.is_failed
    assert len(notes[key]) == 2, "the second attempt began 0.6 s after the enqueue, and at once after the first"


async def fail_slowly(key: str) -> None:
    notes[key].append("run")
    await asyncio.sleep(0.6)
    raise ValueError("failed on purpose")


async def test_a_requeued_job_has_its_whole_ttl_again(queue: Queue, burst, key: str, raw: redis.Redis) -> None:
    job = await queue.enqueue(note_and_fail, key, ttl=43)  # C23
    await burst()
    await queue.failed_job_registry.requeue(job)
    await job.refresh()
    assert job.expires_at - job.enqueued_at == timedelta(seconds=43)
    assert 3_600_000 + 42_000 < raw.pttl(f"{JOB}{job.id}") <= 3_600_000 + 43_000


async def test_an_expired_job_can_be_requeued_and_expires_again(queue: Queue, burst, key: str) -> None:
    job = await queue.enqueue(note, key, ttl=0.5)
    await expire(job)
    await job.requeue()
    assert job.is_queued
    assert job.expires_at - job.enqueued_at == timedelta(milliseconds=500)
    assert await queue.count() == 1
    await expire(job)
    await burst()
    assert notes[key] == []
    await queue.expired_job_registry.requeue(job.id)
    await burst()
    assert len(notes[key]) == 1


async def test_a_job_expires_in_a_paused_queue(queue: Queue, start_worker, key: str) -> None:  # C24
    await start_worker()
    await queue.pause()
    job = await queue.enqueue(note, key, ttl=0.05)
    with pytest.raises(JobExpired):
        await job.result(5)
    await queue.resume()
    other = await queue.enqueue(note, key, "other")
    await other.result(5)
    assert notes[key] == ["other"]
    assert await job.get_status() == JobStatus.EXPIRED


async def test_a_job_expires_while_the_server_is_down(own_server: Callable[..., Server], key: str) -> None:  # C25
    server = own_server("--appendonly", "yes", "--appendfsync", "always")
    async with Queue("default", server.url) as queue:
        job = await queue.enqueue(note, key, ttl=0.2)
        kept = await queue.enqueue(note, key, "kept", ttl=60)
        server.stop(kill=True)
        await asyncio.sleep(0.25)
        server.start()
        assert await job.get_status() == JobStatus.EXPIRED
        assert await queue.job_ids() == [kept.id]


async def test_each_job_of_many_has_its_own_ttl(queue: Queue) -> None:  # C27
    short, long, none = await queue.enqueue_many(
        [Queue.prepare_data(jobs.noop, ttl=ttl) for ttl in (0.05, 60, None)]
    )
    await expire(short)
    assert [await each.get_status() for each in (short, long, none)] == ["expired", "queued", "queued"]
    assert [short.ttl, long.ttl, none.ttl] == [0.05, 60, None]
    assert await queue.job_ids() == [long.id, none.id]


async def test_a_job_at_the_front_has_its_ttl_too(queue: Queue, burst, key: str) -> None:  # C28
    job = await queue.enqueue(note, key, ttl=0.05, at_front=True)
    await expire(job)
    assert await queue.count() == 0
    await burst()
    assert notes[key] == []


@pytest.mark.parametrize("swept", [False, True])
async def test_the_id_of_an_expired_job_is_free(queue: Queue, burst, key: str, swept: bool) -> None:  # C28
    first = await queue.enqueue(note, key, "first", job_id="mine", ttl=0.05)
    await expire(first)
    if swept:
        await burst()
    second = await queue.enqueue(note, key, "second", job_id="mine")
    assert await queue.job_ids() == ["mine"]
    assert await queue.count() == 1
    assert await queue.expired_job_registry.count() == 0
    await burst()
    assert notes[key] == ["second"]
    assert await second.result(5) == "second"


async def test_the_producers_clock_does_not_matter(
    queue: Queue, start_worker, monkeypatch: pytest.MonkeyPatch, raw: redis.Redis
) -> None:  # C29
    real, real_ns = time.time, time.time_ns
    for hours in (-1, 1):
        monkeypatch.setattr(time, "time", lambda hours=hours: real() + hours * 3600)
        monkeypatch.setattr(time, "time_ns", lambda hours=hours: real_ns() + hours * 3_600_000_000_000)
        job = await queue.enqueue(jobs.add, 1, 2, ttl=60)
        assert abs(job.expires_at.timestamp() * 1000 - clock_ms(raw) - 60_000) < 5_000
        short = await queue.enqueue(jobs.noop, ttl=0.05)
        await expire(short)
        delayed = await queue.enqueue_in(0.05, jobs.add, 1, 2)
        assert await queue.job_ids() == [job.id]
        await job.cancel()
        await delayed.cancel()
    await start_worker()
    assert await (await queue.enqueue_in(0.05, jobs.add, 1, 2, ttl=60)).result(5) == 3


async def test_a_ttl_of_milliseconds_is_kept(queue: Queue, raw: redis.Redis) -> None:  # C30
    for _ in range(5):
        job = await queue.enqueue(jobs.noop, ttl=0.05)
        deadline = job.expires_at.timestamp() * 1000
        while True:
            before = clock_ms(raw)
            status = await job.get_status()
            after = clock_ms(raw)
            if after < deadline:
                assert status == JobStatus.QUEUED
            if before > deadline:
                assert status == JobStatus.EXPIRED
                break


async def test_an_expired_job_cannot_be_canceled(queue: Queue, burst) -> None:
    seen, unseen = await queue.enqueue(jobs.noop, ttl=0.05), await queue.enqueue(jobs.noop, ttl=0.05)
    await expire(unseen)
    with pytest.raises(Exception, match="is expired"):
        await unseen.cancel()
    await burst()
    with pytest.raises(Exception, match="is expired"):
        await seen.cancel()
    assert await queue.expired_job_registry.count() == 2


@pytest.mark.parametrize("swept", [False, True])
async def test_an_expired_job_can_be_deleted(queue: Queue, burst, raw: redis.Redis, swept: bool) -> None:
    job = await queue.enqueue(jobs.noop, ttl=0.05)
    await expire(job)
    if swept:
        await burst()
    await job.delete()
    assert not raw.exists(f"{JOB}{job.id}")
    assert await queue.expired_job_registry.count() == 0
    await burst()
    assert await queue.fetch_job(job.id) is None
