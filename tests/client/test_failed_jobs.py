"""S5: failed jobs (research/rq.md 2.5)."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

import pytest
import redis

from aioq import Job, JobFailed, JobStatus, NoSuchJobError, Queue, Retry, Worker
from aioq.errors import JobStopped
from aioq.store import Store
from aioq.values.claim import Claim
from aioq.values.outcome import Finished
from tests import jobs
from tests.client.work import fail_until, gates, hold, note, note_and_fail, notes
from tests.conftest import Server
from tests.tools import RunningWorker, eventually

JOB = "aioq:{default}:job:"


async def test_a_job_that_raises_is_failed_and_in_the_registry(queue: Queue, burst) -> None:  # E01
    job = await queue.enqueue(jobs.div_by_zero, 1)
    await burst()
    assert await queue.failed_job_registry.count() == 1
    assert await queue.failed_job_registry.job_ids() == [job.id]
    assert await job.get_status() == JobStatus.FAILED
    assert (job.is_failed, job.is_finished) == (True, False)
    assert "Traceback (most recent call last)" in job.exc_info
    assert "return x / 0" in job.exc_info
    assert "ZeroDivisionError: division by zero" in job.exc_info
    assert "aioq/worker" not in job.exc_info, "the frames of the worker tell a user nothing"
    assert job.ended_at >= job.started_at
    with pytest.raises(JobFailed, match="ZeroDivisionError"):
        await job.result(5)
    assert await job.return_value() is None


async def test_the_registry_knows_what_it_contains(queue: Queue, burst) -> None:  # E02
    failed, finished = await queue.enqueue(jobs.div_by_zero, 1), await queue.enqueue(jobs.noop)
    await burst()
    registry = queue.failed_job_registry
    assert await registry.contains(failed)
    assert await registry.contains(failed.id)
    assert not await registry.contains(finished)
    assert not await registry.contains("x")


async def test_a_job_fails_in_the_registry_of_its_own_queue(queue: Queue, server: Server, burst) -> None:  # E03
    async with Queue("other", server.url) as other:
        job = await other.enqueue(jobs.div_by_zero, 1)
        await burst("default", "other")
        assert await queue.failed_job_registry.count() == 0
        assert await other.failed_job_registry.job_ids() == [job.id]
        assert await queue.fetch_job(job.id) is None


async def test_a_failure_with_attempts_left_is_in_the_history_only(
    queue: Queue, start_worker, key: str
) -> None:  # E05
    running = await start_worker()
    job = await queue.enqueue(note_and_fail, key, retry=Retry(1, interval=60))
    await eventually(lambda: _has(job, JobStatus.SCHEDULED))
    assert await queue.failed_job_registry.count() == 0
    (attempt,) = await job.results()
    assert (attempt.type, attempt.fence) == ("failed", 1)
    assert attempt.worker_name == running.worker.name
    assert "failed on purpose" in attempt.exc_info
    assert attempt.started_at <= attempt.ended_at
    assert job.retries_left == 0, "the attempt that is due is the last one"


async def _has(job: Job, status: JobStatus) -> bool:
    return await job.get_status() == status


async def test_when_the_last_attempt_fails_the_job_is_in_the_registry_once(queue: Queue, burst, key: str) -> None:
    job = await queue.enqueue(note_and_fail, key, retry=2)  # E06
    assert job.retries_left == 2
    await burst()
    assert len(notes[key]) == 3
    assert await queue.failed_job_registry.job_ids() == [job.id]
    assert [each.type for each in await job.results()] == ["failed"] * 3
    assert [each.fence for each in await job.results()] == [3, 2, 1]
    assert (job.attempt, job.retries_left) == (3, 0)


@pytest.mark.parametrize("function", [jobs.sleep, jobs.sleep_sync])
async def test_a_job_that_takes_too_long_fails(
    queue: Queue, burst, function: Callable[..., object]
) -> None:  # E07
    job = await queue.enqueue(function, 0.5, job_timeout=0.1)
    await burst()
    assert await job.get_status() == JobStatus.FAILED
    assert "JobTimeout: the run took longer than its timeout of 0.1 seconds" in job.exc_info


async def test_a_function_that_is_not_there_is_the_jobs_failure(queue: Queue, burst) -> None:  # E09
    missing = await queue.enqueue("tests.jobs.no_such_function")
    module = await queue.enqueue("no_such_package.module.function")
    other = await queue.enqueue(jobs.add, 1, 2)
    await burst()
    assert await other.result(5) == 3
    for job, text in ((missing, "no_such_function"), (module, "no_such_package")):
        await job.refresh()
        assert job.is_failed
        assert "DeserializationError" in job.exc_info
        assert text in job.exc_info


async def test_a_payload_that_cannot_be_read_is_the_jobs_failure(queue: Queue, burst, raw: redis.Redis) -> None:
    job, other = await queue.enqueue(jobs.add, 1, 2), await queue.enqueue(jobs.add, 1, 2)  # E09
    raw.hset(f"{JOB}{job.id}", "data", b"pdamaged")
    await burst()
    assert await other.result(5) == 3
    with pytest.raises(JobFailed, match="DeserializationError: the job's arguments cannot be read as pickle"):
        await job.result(5)


async def test_a_payload_that_cannot_be_read_is_not_tried_again_and_is_kept(
    queue: Queue, burst, raw: redis.Redis
) -> None:
    damaged = [await queue.enqueue(jobs.add, 1, 2, retry=3) for _ in range(3)]

    for job, data in zip(damaged, (b"pdamaged", b"j{", b"?"), strict=True):
        raw.hset(f"{JOB}{job.id}", "data", data)

    # A deploy may bring the code that is missing: a function, or a class that arguments are made of.
    function = await queue.enqueue("tests.jobs.no_such_function", retry=3)
    of_a_class = await queue.enqueue(jobs.add, 1, 2, retry=3)
    raw.hset(f"{JOB}{of_a_class.id}", "data", b"pcno_such_module\nno_such_class\n.")
    await burst()

    for job in (*damaged, function, of_a_class):
        await job.refresh()
        assert job.is_failed

    assert [job.attempt for job in damaged] == [1, 1, 1]
    assert raw.hget(f"{JOB}{damaged[0].id}", "data") == "pdamaged"
    assert (function.attempt, of_a_class.attempt) == (4, 4)


async def test_the_jobs_of_a_lost_worker_are_run_again_and_it_cannot_interfere(
    queue: Queue, start_worker, key: str
) -> None:  # E10; tests/system kills real ones
    job = await queue.enqueue(note, key, "by the second")
    lost = queue.store
    await lost.duty.join("lost", 100)  # a lease of 0.1 s, and no beat
    (claim,) = await _claim(lost, "lost")
    assert await job.get_status() == JobStatus.STARTED

    await start_worker()
    assert await job.result(10) == "by the second"
    assert notes[key] == ["by the second"]

    # The first worker comes back and says that it is done.
    ((command, _),) = lost.duty.end_commands([(claim, Finished(b"p" + b"N.", 1000))])
    await lost.connection.call(command)
    assert await job.return_value() == "by the second"
    latest, abandoned = await job.results()
    assert (latest.type, latest.fence) == ("finished", 2)
    assert (abandoned.type, abandoned.fence, abandoned.worker_name) == ("abandoned", 1, "lost")
    assert (job.attempt, job.deliveries) == (1, 1)
    assert await queue.failed_job_registry.count() == 0


async def _claim(store: Store, worker: str, limit: int = 1) -> list[Claim]:
    return store.duty.read_claims(
        await store.connection.call(store.duty.claim_command(worker, limit)), worker
    ).jobs


async def test_a_job_that_loses_its_worker_three_times_fails(queue: Queue, raw: redis.Redis, key: str) -> None:
    job = await queue.enqueue(note, key, retry=5)  # E10
    store = queue.store
    for number in range(3):
        await store.duty.join(f"lost-{number}", 10)
        assert len(await _claim(store, f"lost-{number}")) == 1
        await eventually(lambda number=number: _reclaimed(store, f"lost-{number}"))
    await job.refresh()
    assert job.is_failed
    assert "AbandonedJobError" in job.exc_info
    assert "3 times" in job.exc_info
    assert (job.attempt, job.deliveries) == (0, 3)
    assert await queue.failed_job_registry.job_ids() == [job.id]
    assert notes[key] == []


async def _reclaimed(store: Store, worker: str) -> bool:
    _, back, failed = await store.duty.reclaim(worker)
    return bool(back or failed)


async def test_a_job_ends_within_the_grace_of_a_stop(queue: Queue, start_worker, key: str) -> None:  # E11
    running: RunningWorker = await start_worker(shutdown_timeout=10)
    job = await queue.enqueue(hold, key)
    await eventually(lambda: notes[key])
    running.worker.request_stop()
    await asyncio.sleep(0.05)
    gates[key].set()
    await running.task
    assert await job.get_status() == JobStatus.FINISHED


async def test_a_job_that_is_not_done_when_the_grace_is_over_goes_back(
    queue: Queue, start_worker, key: str
) -> None:  # E11
    running: RunningWorker = await start_worker(shutdown_timeout=0.1)
    job = await queue.enqueue(hold, key)
    await eventually(lambda: notes[key])
    running.worker.request_stop()
    await running.task
    assert await job.get_status() == JobStatus.QUEUED
    assert await queue.failed_job_registry.count() == 0


async def test_at_a_cold_stop_jobs_go_back_at_once(queue: Queue, start_worker, key: str) -> None:  # E12
    running: RunningWorker = await start_worker()
    job = await queue.enqueue(hold, key)
    await eventually(lambda: notes[key])
    begun = time.monotonic()
    running.worker.request_stop()
    running.worker.request_stop()
    await running.task
    assert time.monotonic() - begun < 2
    assert notes[key] == ["begun", "canceled"]
    assert await job.get_status() == JobStatus.QUEUED
    assert await queue.job_ids() == [job.id]


async def test_a_stopped_job_is_not_failed(queue: Queue, start_worker, key: str) -> None:  # E13
    await start_worker()
    job = await queue.enqueue(hold, key, retry=3)
    await eventually(lambda: notes[key])
    await job.stop()
    assert (job.is_stopped, job.is_failed) == (True, False)
    assert await queue.stopped_job_registry.job_ids() == [job.id]
    assert await queue.failed_job_registry.count() == 0
    assert (await job.latest_result()).type == "stopped"
    with pytest.raises(JobStopped):
        await job.result(5)
    await eventually(lambda: notes[key][-1] == "canceled")


async def test_reading_the_registry_changes_nothing(
    queue: Queue, raw: redis.Redis, burst, key: str
) -> None:  # E16
    await queue.enqueue(note_and_fail, key, failure_ttl=0.05)
    await queue.enqueue(note_and_fail, key)
    await burst()
    await eventually(lambda: _count_is(queue, 1))
    before = {name: raw.zrange(name, 0, -1, withscores=True) for name in raw.keys("*failed*")}
    registry = queue.failed_job_registry
    for _ in range(3):
        await registry.count()
        await registry.jobs()
        await registry.job_ids()
    assert before == {name: raw.zrange(name, 0, -1, withscores=True) for name in raw.keys("*failed*")}


async def _count_is(queue: Queue, number: int) -> bool:
    return await queue.failed_job_registry.count() == number


async def test_a_failed_job_that_was_removed_by_hand_is_skipped(
    queue: Queue, raw: redis.Redis, burst, key: str
) -> None:  # E17
    gone, kept = await queue.enqueue(note_and_fail, key), await queue.enqueue(note_and_fail, key)
    await burst()
    raw.delete(f"{JOB}{gone.id}")
    registry = queue.failed_job_registry
    assert await registry.jobs() == [kept]
    assert not await registry.contains(gone)
    with pytest.raises(NoSuchJobError):
        await registry.requeue(gone)
    assert await registry.requeue_all() == 1
    assert await queue.job_ids() == [kept.id]
    assert await registry.jobs() == []
    await burst()  # which sweeps before it ends


async def test_a_worker_drops_what_was_removed_by_hand(queue: Queue, raw: redis.Redis, burst, key: str) -> None:
    gone, kept = await queue.enqueue(note_and_fail, key), await queue.enqueue(note_and_fail, key)  # E17
    await burst()
    raw.delete(f"{JOB}{gone.id}")
    await burst()
    assert await queue.failed_job_registry.job_ids() == [kept.id]
    assert await queue.failed_job_registry.count() == 1


@pytest.mark.chaos
async def test_counting_takes_no_longer_with_many_jobs(queue: Queue, raw: redis.Redis) -> None:  # E18
    names = "aioq:{default}:failed", "aioq:{default}:failed:until"
    fill = (
        "for i = 1, 200000 do redis.call('ZADD', KEYS[1], i, i) redis.call('ZADD', KEYS[2], 9e15 + i, i) end "
        "redis.call('EXPIRE', KEYS[1], 60) redis.call('EXPIRE', KEYS[2], 60)"
    )
    raw.eval(fill, 2, *names)
    assert await queue.failed_job_registry.count() == 200_000
    raw.config_resetstat()
    for _ in range(20):
        await queue.failed_job_registry.count()
    assert raw.info("commandstats")["cmdstat_evalsha"]["usec_per_call"] < 1000
    assert len(await queue.failed_job_registry.job_ids(199_990, 100)) == 10


async def test_a_failure_while_the_server_is_down_is_recorded_when_it_is_back(
    own_server: Callable[..., Server], key: str
) -> None:  # E20
    server = own_server("--appendonly", "yes", "--appendfsync", "always")
    async with Queue("default", server.url) as queue:
        worker = Worker("default", server.url)
        ready = asyncio.Event()
        task = asyncio.create_task(worker.run(ready=ready.set))
        await ready.wait()
        job = await queue.enqueue(fail_at_the_gate, key)
        await eventually(lambda: notes[key])
        server.stop(kill=True)
        gates[key].set()
        await eventually(lambda: len(notes[key]) == 2)
        await asyncio.sleep(0.2)
        server.start()
        with pytest.raises(JobFailed, match="while it was down"):
            await job.result(10)
        assert await queue.failed_job_registry.job_ids() == [job.id]
        assert notes[key] == ["begun", "failing"], "it ran once"
        worker.request_stop()
        await task


async def fail_at_the_gate(key: str) -> None:
    notes[key].append("begun")
    await gates[key].wait()
    notes[key].append("failing")
    raise ValueError("while it was down")


async def test_a_job_that_fails_and_then_succeeds_is_not_in_the_registry(queue: Queue, burst, key: str) -> None:
    job = await queue.enqueue(fail_until, key, 2, retry=1)  # E05
    await burst()
    assert await job.return_value() == 2
    assert await queue.failed_job_registry.count() == 0
    assert job.exc_info is None
    assert [each.type for each in await job.results()] == ["finished", "failed"]
