"""S6: requeueing jobs in code (research/rq.md 2.6)."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
import redis

from aioq import Job, JobStatus, NoSuchJobError, Queue
from aioq.errors import InvalidJobOperation
from tests import jobs
from tests.client.work import fail_until, hold, note, note_and_fail, notes
from tests.conftest import Server
from tests.tools import eventually

JOB = "aioq:{default}:job:"


async def failed(queue: Queue, burst, count: int = 1, **options: Any) -> list[Job[Any]]:
    made = [await queue.enqueue(jobs.div_by_zero, number, **options) for number in range(count)]
    await burst()
    for job in made:
        await job.refresh()
        assert job.is_failed
    return made


@pytest.mark.parametrize("by_id", [False, True])
async def test_a_requeued_job_is_back_in_its_queue(queue: Queue, burst, by_id: bool) -> None:  # F01
    (job,) = await failed(queue, burst)
    registry = queue.failed_job_registry
    requeued = await registry.requeue(job.id if by_id else job)
    assert requeued == job
    assert requeued.is_queued
    assert await registry.count() == 0
    assert await queue.count() == 1
    assert await queue.job_ids() == [job.id]
    assert await job.get_status() == JobStatus.QUEUED


async def test_a_job_can_be_requeued_by_itself(queue: Queue, burst) -> None:  # F01
    (job,) = await failed(queue, burst)
    await job.requeue()
    assert job.is_queued
    assert await queue.failed_job_registry.count() == 0
    assert await queue.job_ids() == [job.id]


async def test_all_jobs_can_be_requeued_in_a_loop(queue: Queue, burst) -> None:  # F02
    await failed(queue, burst, 5)
    registry = queue.failed_job_registry
    ids = await registry.job_ids()
    for job_id in ids:
        await registry.requeue(job_id)
    assert await registry.count() == 0
    assert await queue.job_ids() == ids


async def test_all_jobs_can_be_requeued_at_once(queue: Queue, burst) -> None:  # F02
    await failed(queue, burst, 1200)
    steps: list[int] = []
    registry = queue.failed_job_registry
    ids = await registry.job_ids(limit=2000)
    assert await registry.requeue_all(progress=steps.append) == 1200
    assert sum(steps) == 1200
    assert len(steps) > 1
    assert await registry.count() == 0
    assert await queue.job_ids(limit=2000) == ids
    assert await registry.requeue_all() == 0


async def test_a_queue_reports_on_each_id(queue: Queue, burst) -> None:  # F02
    made = await failed(queue, burst, 3)
    queued = await queue.enqueue(jobs.noop)
    report = await queue.requeue([made[0].id, "unknown", queued.id, made[2].id, made[0].id])
    assert report == {made[0].id: "ok", "unknown": "gone", queued.id: "queued", made[2].id: "ok"}
    assert await queue.failed_job_registry.job_ids() == [made[1].id]
    assert await queue.job_ids() == [queued.id, made[0].id, made[2].id]
    assert await queue.requeue([]) == {}
    assert await queue.requeue(iter([made[1].id])) == {made[1].id: "ok"}


async def test_a_queue_and_a_registry_take_one_job_or_several(queue: Queue, burst) -> None:
    made = await failed(queue, burst, 6)
    registry = queue.failed_job_registry

    for one in (queue.requeue, registry.requeue):
        for each in (made.pop(), made.pop().id):
            job = await one(each)
            assert (job, job.is_queued) == (each if isinstance(each, Job) else await queue.fetch_job(each), True)

    canceled = await queue.enqueue(jobs.noop)
    await canceled.cancel()
    assert await registry.requeue([made[0], "none", canceled]) == {
        made[0].id: "ok",
        "none": "gone",
        canceled.id: "canceled",
    }
    assert await made[1].requeue() is made[1]
    assert made[1].is_queued


async def test_one_job_that_cannot_be_requeued_is_an_error(queue: Queue) -> None:
    job = await queue.enqueue(jobs.noop)
    with pytest.raises(InvalidJobOperation, match=f"job {job.id} is queued; only failed, canceled, stopped"):
        await queue.requeue(job)
    with pytest.raises(NoSuchJobError, match="no job 'none'"):
        await queue.requeue("none")


async def test_the_times_of_the_last_run_are_in_the_history(queue: Queue, burst) -> None:  # F03
    (job,) = await failed(queue, burst)
    run = job.started_at, job.ended_at, job.worker_name
    await job.requeue()
    assert (job.started_at, job.ended_at, job.worker_name) == (None, None, None)
    assert job.enqueued_at >= job.created_at
    (attempt,) = await job.results()
    assert (attempt.started_at, attempt.ended_at, attempt.worker_name) == run


async def test_the_error_of_the_last_run_is_in_the_history(queue: Queue, burst) -> None:  # F04
    (job,) = await failed(queue, burst)
    await job.requeue()
    fetched = await queue.fetch_job(job.id)
    assert fetched.exc_info is None
    (attempt,) = await fetched.results()
    assert attempt.type == "failed"
    assert "ZeroDivisionError" in attempt.exc_info


@pytest.mark.parametrize(("options", "runs"), [({}, 6), ({"reset_retries": False}, 4)])
async def test_a_requeued_job_has_its_retries_again(
    queue: Queue, burst, key: str, options: dict[str, bool], runs: int
) -> None:  # F05
    job = await queue.enqueue(note_and_fail, key, retry=2)
    await burst()
    await job.refresh()
    assert (len(notes[key]), job.attempt, job.retries_left) == (3, 3, 0)
    await job.requeue(**options)
    assert job.retries_left == (2 if not options else 0)
    await burst()
    assert len(notes[key]) == runs
    await job.refresh()
    assert job.is_failed
    assert job.fence == runs


async def test_a_requeued_job_outlives_its_failure_ttl(
    queue: Queue, burst, raw: redis.Redis, key: str
) -> None:  # F06
    job = await queue.enqueue(fail_until, key, 2, failure_ttl=0.3)
    await burst()
    await job.requeue()
    assert [raw.pttl(name) for name in raw.keys(f"*:{job.id}")] == [-1, -1]
    await asyncio.sleep(0.4)
    assert await job.get_status() == JobStatus.QUEUED
    assert await queue.count() == 1
    await burst()
    assert await job.return_value() == 2


async def test_a_requeued_job_has_no_retention(queue: Queue, burst, raw: redis.Redis) -> None:  # F07
    (job,) = await failed(queue, burst)
    assert raw.pttl(f"{JOB}{job.id}") > 0
    await job.requeue()
    assert {raw.pttl(name) for name in raw.keys(f"*:{job.id}")} == {-1}


async def test_a_second_requeue_is_refused(queue: Queue, burst) -> None:  # F08
    (job,) = await failed(queue, burst)
    registry = queue.failed_job_registry
    await registry.requeue(job)
    with pytest.raises(InvalidJobOperation, match="is queued, not failed"):
        await registry.requeue(job)
    with pytest.raises(InvalidJobOperation, match="is queued; only failed, canceled, stopped and expired"):
        await job.requeue()
    assert await queue.job_ids() == [job.id]


async def test_of_many_requeues_at_once_one_wins(queue: Queue, burst) -> None:  # F08, F10
    (job,) = await failed(queue, burst)
    handles = await queue.fetch_many([job.id] * 20)
    outcomes = await asyncio.gather(*(each.requeue() for each in handles), return_exceptions=True)
    assert sum(outcome in handles for outcome in outcomes) == 1
    assert sum(isinstance(outcome, InvalidJobOperation) for outcome in outcomes) == 19
    assert await queue.job_ids() == [job.id]
    assert await queue.failed_job_registry.count() == 0


async def test_at_no_moment_is_a_requeued_job_in_two_places_or_in_none(
    queue: Queue, burst, raw: redis.Redis
) -> None:  # F10
    made = await failed(queue, burst, 60)
    requeuing = asyncio.create_task(requeue_each(made))
    while not requeuing.done():
        with raw.pipeline() as pipe:
            pipe.xlen("aioq:{default}:lane:main")
            pipe.zcard("aioq:{default}:failed:usual")
            assert sum(pipe.execute()) == 60
        await asyncio.sleep(0)
    await requeuing


async def requeue_each(made: list[Job[Any]]) -> None:
    for job in made:
        await job.requeue()


async def test_an_unknown_id_is_refused(queue: Queue, burst) -> None:  # F11
    (job,) = await failed(queue, burst)
    with pytest.raises(NoSuchJobError, match="nope"):
        await queue.failed_job_registry.requeue("nope")
    await job.delete()
    with pytest.raises(NoSuchJobError, match=job.id):
        await queue.failed_job_registry.requeue(job)
    with pytest.raises(NoSuchJobError, match=job.id):
        await job.requeue()
    assert await queue.count() == 0


async def test_a_job_that_is_not_failed_is_refused(queue: Queue, start_worker, burst, key: str) -> None:  # F13
    finished = await queue.enqueue(jobs.noop)
    await burst()
    scheduled = await queue.enqueue_in(60, jobs.noop)
    await start_worker()
    started = await queue.enqueue(hold, key)
    await eventually(lambda: notes[key])
    for job, state in ((finished, "finished"), (scheduled, "scheduled"), (started, "started")):
        with pytest.raises(InvalidJobOperation, match=f"is {state}, not failed"):
            await queue.failed_job_registry.requeue(job)
        with pytest.raises(InvalidJobOperation, match=f"is {state}; only failed"):
            await job.requeue()
        assert await job.get_status() == state


async def test_the_registry_of_another_queue_is_refused(queue: Queue, server: Server, burst) -> None:  # F14
    (job,) = await failed(queue, burst)
    async with Queue("other", server.url) as other:
        with pytest.raises(NoSuchJobError, match="queue 'other' has no job"):
            await other.failed_job_registry.requeue(job.id)
        with pytest.raises(InvalidJobOperation, match="not a job of queue 'other'"):
            await other.failed_job_registry.requeue(job)
    with pytest.raises(InvalidJobOperation, match="is failed, not canceled"):
        await queue.canceled_job_registry.requeue(job)
    assert await queue.failed_job_registry.count() == 1


async def test_at_front_is_the_head_of_the_queue(queue: Queue, burst, key: str) -> None:  # F15
    first, second, third = await failed(queue, burst, 3)
    waiting = await queue.enqueue(jobs.noop)
    await queue.failed_job_registry.requeue(first, at_front=True)
    await second.requeue(at_front=True)
    await third.requeue()
    ids = await queue.job_ids()
    assert set(ids[:2]) == {first.id, second.id}
    assert ids[2:] == [waiting.id, third.id]


async def test_requeue_all_can_put_all_at_the_front(queue: Queue, burst) -> None:  # F15
    made = await failed(queue, burst, 3)
    waiting = await queue.enqueue(jobs.noop)
    await queue.failed_job_registry.requeue_all(at_front=True)
    ids = await queue.job_ids()
    assert set(ids[:3]) == {job.id for job in made}
    assert ids[3] == waiting.id


async def test_a_canceled_job_can_be_requeued(queue: Queue, burst, raw: redis.Redis, key: str) -> None:  # F16
    job = await queue.enqueue(note, key, "ran")
    await job.cancel()
    await queue.canceled_job_registry.requeue(job)
    assert await queue.canceled_job_registry.count() == 0
    assert await queue.job_ids() == [job.id]
    assert raw.pttl(f"{JOB}{job.id}") == -1
    await burst()
    assert await job.return_value() == "ran"


async def test_a_scheduled_job_that_was_canceled_is_queued_at_once(queue: Queue, burst, key: str) -> None:  # F16
    job = await queue.enqueue_in(3600, note, key, "ran")
    await job.cancel()
    await job.requeue()
    assert (job.is_queued, job.scheduled_at) == (True, None)
    await burst()
    assert await job.return_value() == "ran"


async def test_a_requeued_job_that_succeeds_has_both_results(
    queue: Queue, burst, raw: redis.Redis, key: str
) -> None:  # F17
    job = await queue.enqueue(fail_until, key, 2)
    await burst()
    await queue.failed_job_registry.requeue(job)
    await burst()
    assert await job.get_status() == JobStatus.FINISHED
    assert [each.type for each in await job.results()] == ["finished", "failed"]
    assert await job.return_value() == 2
    assert job.exc_info is None
    assert {-(-raw.pttl(name) // 1000) for name in raw.keys(f"*:{job.id}")} == {500}
    assert await queue.failed_job_registry.count() == 0
    assert await queue.finished_job_registry.job_ids() == [job.id]


async def test_a_job_can_fail_and_be_requeued_again_and_again(queue: Queue, burst, key: str) -> None:
    job = await queue.enqueue(note_and_fail, key)
    for run in range(1, 14):
        await burst()
        assert await queue.failed_job_registry.job_ids() == [job.id]
        assert len(await job.results()) == min(run, 11)
        await job.requeue()
    assert len(notes[key]) == 13
    assert [each.fence for each in await job.results()] == list(range(13, 3, -1))


async def test_a_stopped_job_can_be_requeued(queue: Queue, start_worker, key: str) -> None:  # F19
    running = await start_worker()
    job = await queue.enqueue(hold, key)
    await eventually(lambda: notes[key])
    await job.stop()
    await eventually(lambda: notes[key][-1] == "canceled")
    await queue.pause()
    await queue.stopped_job_registry.requeue(job)
    assert await queue.stopped_job_registry.count() == 0
    assert await queue.job_ids() == [job.id]
    assert running.worker.name == (await job.results())[0].worker_name
    assert (await job.results())[0].type == "stopped"


async def test_what_fails_again_meanwhile_is_left(queue: Queue, start_worker, burst, key: str) -> None:  # H09
    made = await failed(queue, burst, 600)
    await start_worker()
    assert await queue.failed_job_registry.requeue_all() == 600
    await eventually(lambda: _count_is(queue, 600))
    for job in made:
        assert len(await job.results()) == 2, "each was requeued once"


async def _count_is(queue: Queue, number: int) -> bool:
    return await queue.failed_job_registry.count() == number


async def test_a_requeued_job_keeps_what_it_was_given(queue: Queue, burst) -> None:
    job = await queue.enqueue(jobs.div_by_zero, 7, meta={"a": 1}, description="mine", job_timeout=9, result_ttl=60)
    await burst()
    await job.requeue()
    assert (job.args, job.meta, job.description) == ((7,), {"a": 1}, "mine")
    assert (job.timeout, job.result_ttl) == (9, 60)
