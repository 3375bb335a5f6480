"""Cancel, stop and delete a job in each of its states; a run in progress is really ended."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
import redis

from aioq import Job, JobStatus, NoSuchJobError, Queue, Retry, get_current_job
from aioq.errors import InvalidJobOperation, JobCanceled, JobStopped
from tests import jobs
from tests.client.work import gates, hold, hold_sync, note, note_and_fail, notes
from tests.conftest import Server
from tests.tools import eventually

DAY = 86_400
BASE = "aioq:{default}:"


async def begun(key: str) -> None:
    await eventually(lambda: notes[key])


async def ended_with(key: str, note: str) -> None:
    await eventually(lambda: notes[key][-1] == note, describe=f"{notes[key]} ends with {note}")


async def settled(queue: Queue) -> None:
    """A job that was enqueued afterwards has run: what the worker had to record is recorded."""
    await (await queue.enqueue(jobs.noop)).result(5)


# Cancel


async def test_a_queued_job_is_canceled(queue: Queue, burst, raw: redis.Redis, key: str) -> None:
    job, other = await queue.enqueue(note, key, "canceled"), await queue.enqueue(note, key, "other")
    await job.cancel()
    assert (job.status, job.is_canceled, job.is_queued) == (JobStatus.CANCELED, True, False)
    assert job.ended_at >= job.created_at
    assert await queue.job_ids() == [other.id]
    assert await queue.canceled_job_registry.job_ids() == [job.id]
    assert -(-raw.pttl(f"{BASE}job:{job.id}") // 1000) == DAY
    await burst()
    assert notes[key] == ["other"]
    with pytest.raises(JobCanceled):
        await job.result(5)


async def test_a_queued_job_with_a_ttl_is_canceled(queue: Queue, raw: redis.Redis, burst) -> None:
    job = await queue.enqueue(jobs.noop, ttl=0.1, at_front=True)
    await job.cancel()
    await asyncio.sleep(0.15)
    await burst()
    assert await job.get_status() == JobStatus.CANCELED
    assert await queue.expired_job_registry.count() == 0
    assert job.expires_at is None


async def test_a_scheduled_job_is_canceled(queue: Queue, burst, key: str) -> None:
    job = await queue.enqueue_in(0.05, note, key)
    await job.cancel()
    assert job.is_canceled
    assert await queue.scheduled_job_registry.count() == 0
    await asyncio.sleep(0.1)
    await burst()
    assert notes[key] == []


async def test_a_job_that_waits_for_its_retry_is_canceled(queue: Queue, start_worker, key: str) -> None:
    await start_worker()
    job = await queue.enqueue(note_and_fail, key, retry=Retry(3, interval=0.1))
    await eventually(lambda: _has(job, JobStatus.SCHEDULED))
    await job.cancel()
    await asyncio.sleep(0.15)
    await settled(queue)
    assert len(notes[key]) == 1
    assert await job.get_status() == JobStatus.CANCELED
    assert [each.type for each in await job.results()] == ["canceled", "failed"]


async def _has(job: Job[Any], status: JobStatus) -> bool:
    return await job.get_status() == status


async def test_a_failed_job_is_canceled(queue: Queue, burst) -> None:
    job = await queue.enqueue(jobs.div_by_zero, 1)
    await burst()
    await job.cancel()
    assert job.is_canceled
    assert await queue.failed_job_registry.count() == 0
    assert await queue.canceled_job_registry.count() == 1


async def test_a_coroutine_that_runs_is_ended(queue: Queue, start_worker, key: str) -> None:
    await start_worker()
    job = await queue.enqueue(hold, key, retry=3)
    await begun(key)
    await job.cancel()
    assert job.is_canceled
    assert await queue.started_job_registry.count() == 0
    await ended_with(key, "canceled")
    await settled(queue)
    assert await job.get_status() == JobStatus.CANCELED
    assert await queue.canceled_job_registry.job_ids() == [job.id]
    assert notes[key] == ["begun", "canceled"]


async def test_a_plain_function_that_runs_is_ended(queue: Queue, start_worker, key: str) -> None:
    await start_worker()
    job = await queue.enqueue(hold_sync, key)
    await begun(key)
    await job.cancel()
    await ended_with(key, "RunEnded")
    await settled(queue)
    assert await job.get_status() == JobStatus.CANCELED


async def test_the_place_of_an_ended_run_is_free_again(queue: Queue, start_worker, key: str) -> None:
    await start_worker(concurrency=1)
    for function in (hold, hold_sync):
        job = await queue.enqueue(function, key)
        await eventually(lambda: notes[key] and notes[key][-1] == "begun")
        await job.cancel()
        assert await (await queue.enqueue(jobs.add, 1, 2)).result(5) == 3
        assert await (await queue.enqueue(jobs.add_sync, 1, 2)).result(5) == 3
        notes[key].clear()


async def return_anyway(key: str, how: str) -> str:
    notes[key].append("begun")
    try:
        await gates[key].wait()
    except asyncio.CancelledError:
        notes[key].append("canceled")
        if how == "raise":
            raise ValueError("instead") from None
    return "a value"


@pytest.mark.parametrize("how", ["return", "raise"])
@pytest.mark.parametrize("verb", ["cancel", "stop", "delete"])
async def test_what_an_ended_run_brings_is_not_recorded(
    queue: Queue, start_worker, raw: redis.Redis, key: str, how: str, verb: str
) -> None:
    await start_worker()
    job = await queue.enqueue(return_anyway, key, how, retry=2)
    await begun(key)
    await getattr(job, verb)()
    await ended_with(key, "canceled")
    await settled(queue)
    assert notes[key] == ["begun", "canceled"]
    if verb == "delete":
        assert raw.keys(f"*:{job.id}") == []
        assert await queue.fetch_job(job.id) is None
    else:
        expected = "canceled" if verb == "cancel" else "stopped"
        assert await job.get_status() == expected
        assert [each.type for each in await job.results()] == [expected]
        assert await job.return_value() is None
    assert await queue.failed_job_registry.count() == 0
    assert await queue.finished_job_registry.count() == 1  # the one that `settled` enqueued


async def test_a_canceled_run_does_not_disturb_the_same_jobs_next_one(
    queue: Queue, start_worker, key: str
) -> None:
    await start_worker()
    job = await queue.enqueue(return_late, key)
    await begun(key)
    await job.cancel()
    await ended_with(key, "canceled 1")
    await job.requeue()
    assert await job.result(5) == "run 2"
    gates[key].set()
    await ended_with(key, "late 1")
    await settled(queue)
    assert await job.return_value() == "run 2"
    assert await job.get_status() == JobStatus.FINISHED


async def return_late(key: str) -> str:
    """Its first run is canceled, and goes on until the gate opens."""
    fence = get_current_job().fence
    notes[key].append(f"begun {fence}")
    if fence > 1:
        return f"run {fence}"
    try:
        await asyncio.sleep(60)
    except asyncio.CancelledError:
        notes[key].append("canceled 1")
        await gates[key].wait()
    notes[key].append("late 1")
    return "run 1"


# Stop


@pytest.mark.parametrize(("function", "end"), [(hold, "canceled"), (hold_sync, "RunEnded")])
async def test_a_run_is_stopped(queue: Queue, start_worker, key: str, function: Any, end: str) -> None:
    await start_worker()
    job = await queue.enqueue(function, key, retry=3)
    await begun(key)
    await job.stop()
    assert (job.is_stopped, job.is_failed, job.is_canceled) == (True, False, False)
    await ended_with(key, end)
    await settled(queue)
    assert await job.get_status() == JobStatus.STOPPED
    assert await queue.stopped_job_registry.job_ids() == [job.id]
    with pytest.raises(JobStopped):
        await job.result(5)
    assert notes[key] == ["begun", end]


# What is refused


@pytest.mark.parametrize(
    ("state", "cancels", "stops"),
    [
        ("queued", True, "is queued"), ("scheduled", True, "is scheduled"), ("started", True, True),
        ("finished", "is finished", "is finished"), ("failed", True, "is failed"),
        ("canceled", "canceled already", "is canceled"), ("stopped", "is stopped", "stopped already"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("verb", ["cancel", "stop"])
async def test_what_the_state_does_not_allow_is_refused(
    queue: Queue, start_worker, key: str, state: str, cancels: Any, stops: Any, verb: str
) -> None:
    allowed = cancels if verb == "cancel" else stops
    job = await in_state(queue, start_worker, key, state)
    if allowed is True:
        await getattr(job, verb)()
        assert await job.get_status() == ("canceled" if verb == "cancel" else "stopped")
    else:
        with pytest.raises(InvalidJobOperation, match=allowed):
            await getattr(job, verb)()
        assert await job.get_status() == state


async def in_state(queue: Queue, start_worker, key: str, state: str) -> Job[Any]:
    if state == "scheduled":
        return await queue.enqueue_in(60, jobs.noop)
    if state in ("queued", "canceled"):
        job = await queue.enqueue(jobs.noop)
        if state == "canceled":
            await job.cancel()
        return job
    await start_worker()
    if state in ("finished", "failed"):
        job = await queue.enqueue(note if state == "finished" else note_and_fail, key)
        await eventually(lambda: _has(job, JobStatus(state)))
        return job
    job = await queue.enqueue(hold, key)
    await begun(key)
    if state == "stopped":
        await job.stop()
    return job


async def test_a_job_that_is_gone_is_refused(queue: Queue) -> None:
    job = await queue.enqueue(jobs.noop)
    await job.delete()
    for verb in (job.cancel, job.stop, job.delete, job.requeue, job.refresh, job.results, job.get_status):
        with pytest.raises(NoSuchJobError, match=job.id):
            await verb()


async def test_of_many_cancels_at_once_one_wins(queue: Queue, start_worker, key: str) -> None:
    await start_worker()
    job = await queue.enqueue(hold, key)
    await begun(key)
    outcomes = await asyncio.gather(*(job.cancel() for _ in range(10)), return_exceptions=True)
    assert outcomes.count(None) == 1
    assert sum(isinstance(each, InvalidJobOperation) for each in outcomes) == 9
    assert await queue.canceled_job_registry.count() == 1


async def test_a_cancel_and_the_end_of_the_run_are_decided_once(queue: Queue, start_worker, key: str) -> None:
    await start_worker()
    made = [await queue.enqueue(jobs.sleep, 0.03) for _ in range(60)]
    await asyncio.sleep(0.025)
    outcomes = await asyncio.gather(*(job.cancel() for job in made), return_exceptions=True)
    await settled(queue)
    for job, outcome in zip(made, outcomes, strict=True):
        await eventually(lambda job=job: _has_ended(job))
        assert job.status == ("canceled" if outcome is None else "finished")
    canceled = outcomes.count(None)
    assert await queue.canceled_job_registry.count() == canceled
    assert await queue.finished_job_registry.count() == 61 - canceled


async def _has_ended(job: Job[Any]) -> bool:
    return (await job.get_status()).is_final


# Delete


@pytest.mark.parametrize("state", ["queued", "scheduled", "started", "finished", "failed", "canceled", "stopped"])
async def test_a_job_is_deleted_in_every_state(
    queue: Queue, start_worker, raw: redis.Redis, key: str, state: str
) -> None:
    job = await in_state(queue, start_worker, key, state)
    await job.delete()
    assert raw.keys(f"*:{job.id}") == []
    assert await queue.count() == 0
    for status in JobStatus:
        if status != JobStatus.QUEUED:
            assert await getattr(queue, f"{status}_job_registry").job_ids() == []
            assert await getattr(queue, f"{status}_job_registry").count() == 0
    if state == "started":
        await ended_with(key, "canceled")
    with pytest.raises(NoSuchJobError):
        await job.delete()
    await queue.enqueue(jobs.noop, job_id=job.id)  # the id is free
    assert await queue.fetch_job(job.id) is not None


async def test_a_deleted_job_takes_its_history_along(queue: Queue, burst, raw: redis.Redis, key: str) -> None:
    job = await queue.enqueue(note_and_fail, key, retry=2)
    await burst()
    assert len(raw.keys(f"*:{job.id}")) == 2
    await job.delete()
    assert raw.keys(f"*:{job.id}") == []


async def test_those_who_wait_for_a_deleted_job_hear_of_it(queue: Queue, start_worker, key: str) -> None:
    await start_worker()
    queued, running = await queue.enqueue_in(60, jobs.noop), await queue.enqueue(hold, key)
    await begun(key)
    waits = [asyncio.create_task(job.result(5)) for job in (queued, running)]
    await asyncio.sleep(0.05)
    await queued.delete()
    await running.delete()
    for wait in waits:
        with pytest.raises(NoSuchJobError):
            await wait


async def test_a_run_on_another_workers_queue_is_left_alone(
    queue: Queue, server: Server, start_worker, key: str
) -> None:
    async with Queue("other", server.url) as other:
        await start_worker("default", "other")
        mine = await queue.enqueue(hold, f"{key}-1", job_id="same")
        theirs = await other.enqueue(hold, f"{key}-2", job_id="same")
        await begun(f"{key}-1")
        await begun(f"{key}-2")
        await mine.cancel()
        await ended_with(f"{key}-1", "canceled")
        await settled(queue)
        assert notes[f"{key}-2"] == ["begun"]
        gates[f"{key}-2"].set()
        assert await theirs.result(5) == f"{key}-2"
