"""What happens to the jobs of workers that are killed, frozen, blocked, or told to stop."""

from __future__ import annotations

import asyncio
import signal
import time
from pathlib import Path

import pytest
import redis

from aioq import JobFailed, Queue
from aioq.store import Directory
from tests.system import jobs
from tests.system.jobs import notes
from tests.tools import eventually

pytestmark = pytest.mark.timeout(90)


async def test_the_job_of_a_killed_worker_is_run_by_another_within_ten_seconds(
    queue: Queue, spawn, tmp_path: Path
) -> None:
    path = tmp_path / "notes"
    victim = await spawn()
    job = await queue.enqueue(jobs.hang_once, str(path))
    await eventually(lambda: notes(path, "start"))
    await spawn()

    killed = time.time()
    victim.signal(signal.SIGKILL)
    assert await job.result(timeout=20) == "attempt 1"  # the lost run did not use up an attempt

    first, second = notes(path, "start")
    assert first[1] == str(victim.process.pid) != second[1]
    assert float(second[2]) - killed <= 10
    await job.refresh()
    assert (job.deliveries, job.fence, job.is_finished) == (1, 2, True)
    assert [each.type for each in await job.results()] == ["finished", "abandoned"]
    assert await queue.started_job_registry.count() == 0


@pytest.mark.chaos
async def test_the_only_worker_is_killed_and_started_again(queue: Queue, spawn, tmp_path: Path) -> None:
    path = tmp_path / "notes"
    victim = await spawn()
    job = await queue.enqueue(jobs.hang_once, str(path))
    await eventually(lambda: notes(path, "start"))
    victim.signal(signal.SIGKILL)
    await victim.ended()

    restarted = time.time()
    await spawn()
    assert await job.result(timeout=20) == "attempt 1"
    assert time.time() - restarted <= 10


@pytest.mark.chaos
async def test_a_worker_that_was_frozen_past_its_lease_writes_nothing(queue: Queue, spawn, tmp_path: Path) -> None:
    path = tmp_path / "notes"
    zombie = await spawn()
    job = await queue.enqueue(jobs.work, str(path), 2)
    await eventually(lambda: notes(path, "start"))
    zombie.signal(signal.SIGSTOP)
    other = await spawn()
    await eventually(lambda: len(notes(path, "start")) == 2, timeout=20)
    assert await job.result(timeout=10) == "attempt 1"
    await job.refresh()
    before = dict(job.record.fields)

    zombie.signal(signal.SIGCONT)
    # It learns that its lease has ended or that its outcome is stale, and says so in its log.
    await eventually(lambda: "lost its claim" in zombie.text() or "not recorded" in zombie.text())
    await job.refresh()
    assert job.record.fields == before
    assert job.worker_name == other.name
    # It serves the queue again, with a new lease.
    fresh = [await queue.enqueue(jobs.work, str(tmp_path / "fresh"), 0.01) for _ in range(20)]
    assert all(await asyncio.gather(*(each.result(timeout=10) for each in fresh)))
    assert await queue.started_job_registry.count() == 0


@pytest.mark.chaos
async def test_a_job_that_blocks_the_event_loop_keeps_all_leases_and_is_named(
    queue: Queue, spawn, tmp_path: Path
) -> None:
    path, other = tmp_path / "notes", tmp_path / "other"
    blocked = await spawn()
    neighbour = await queue.enqueue(jobs.work, str(other), 9)
    await eventually(lambda: notes(other, "start"))
    job = await queue.enqueue(jobs.block_the_loop, str(path), 9)
    await eventually(lambda: notes(path, "start"))
    began = time.time()
    await eventually(lambda: "has blocked the event loop" in blocked.text(), timeout=5)
    assert time.time() - began < 1.5  # a second, and what this machine takes to look

    assert f"tests.system.jobs.block_the_loop (job {job.id}) has blocked the event loop" in blocked.text()
    assert "time.sleep(seconds)" in blocked.text()

    await spawn()
    assert await job.result(timeout=20) == "done"
    await neighbour.result(timeout=20)

    for each, file in ((job, path), (neighbour, other)):
        assert [line[1] for line in notes(file, "start")] == [str(blocked.process.pid)]
        await each.refresh()
        assert each.deliveries == 0

    await eventually(lambda: "the event loop turns again" in blocked.text())
    told = {each.pid: each.blocks for each in await Directory(queue.connection).workers()}
    assert told[blocked.process.pid] == 1


@pytest.mark.chaos
async def test_c_code_that_holds_the_interpreter_past_the_lease_leaves_one_result(
    queue: Queue, spawn, tmp_path: Path
) -> None:
    path = tmp_path / "notes"
    held = await spawn()
    job = await queue.enqueue(jobs.hold_the_interpreter, str(path), 11)
    await eventually(lambda: notes(path, "start"))
    await spawn()

    # Nobody can renew a lease while one thread keeps the interpreter: it ends, and another worker runs the job.
    assert await job.result(timeout=20) == "fence 2"
    await eventually(lambda: len(notes(path, "end")) == 2, timeout=20)
    await eventually(lambda: "was not recorded (stale)" in held.text() or "lost its claim" in held.text())
    await eventually(lambda: "the whole process stood still" in held.text())

    await job.refresh()
    assert await job.return_value() == "fence 2"
    assert [each.type for each in await job.results()] == ["finished", "abandoned"]


@pytest.mark.chaos
async def test_a_job_that_kills_its_workers_fails_in_the_end(queue: Queue, spawn, tmp_path: Path) -> None:
    path = tmp_path / "notes"
    for _ in range(4):
        await spawn()
    survivor = await spawn(queues="other,default", concurrency=1)
    blocker = await Queue("other", queue.connection).enqueue(jobs.work, str(tmp_path / "blocker"), 40)
    await eventually(lambda: notes(tmp_path / "blocker", "start"))

    job = await queue.enqueue(jobs.die, str(path))
    with pytest.raises(JobFailed, match="lost 4 times"):
        await job.result(timeout=60)
    assert len(notes(path, "start")) == 4
    assert await queue.failed_job_registry.contains(job)
    assert survivor.process.poll() is None
    await blocker.cancel()


@pytest.mark.chaos
async def test_the_jobs_of_a_killed_worker_come_back_though_the_group_was_destroyed(
    queue: Queue, raw: redis.Redis, spawn, tmp_path: Path
) -> None:
    path = tmp_path / "notes"
    victim = await spawn(concurrency=5)
    found = [await queue.enqueue(jobs.hang_once_each, str(path)) for _ in range(5)]
    await eventually(lambda: len(notes(path, "start")) == 5)
    raw.xgroup_destroy(queue.store.keys.main, "workers")
    await spawn()
    assert await (await queue.enqueue(asyncio.sleep, 0)).result(timeout=10) is None
    assert (await queue.started_job_registry.count(), len(notes(path, "start"))) == (5, 5)

    victim.signal(signal.SIGKILL)
    await asyncio.gather(*(job.result(timeout=20) for job in found))
    assert {job.record.deliveries for job in await queue.fetch_many([job.id for job in found])} == {1}


@pytest.mark.chaos
async def test_the_jobs_of_a_killed_worker_come_back_if_nobody_has_claimed_since_the_group_was_destroyed(
    queue: Queue, raw: redis.Redis, spawn, tmp_path: Path
) -> None:
    path = tmp_path / "notes"
    victim = await spawn()
    found = [await queue.enqueue(jobs.hang_once_each, str(path)) for _ in range(5)]
    await eventually(lambda: len(notes(path, "start")) == 5)
    raw.xgroup_destroy(queue.store.keys.main, "workers")
    victim.signal(signal.SIGKILL)
    await victim.ended()
    await spawn()

    await asyncio.gather(*(job.result(timeout=40) for job in found))


async def test_sigterm_lets_a_running_job_end(queue: Queue, spawn, tmp_path: Path) -> None:
    worker = await spawn()
    job = await queue.enqueue(jobs.work, str(tmp_path / "notes"), 1)
    await eventually(lambda: notes(tmp_path / "notes", "start"))
    worker.signal(signal.SIGTERM)
    assert await worker.ended() == 0
    await job.refresh()
    assert job.is_finished
    assert await queue.connection.call(("SMEMBERS", "aioq:workers")) in ([], set())


@pytest.mark.chaos
async def test_what_is_left_after_the_grace_is_handed_back(queue: Queue, spawn, tmp_path: Path) -> None:
    path = tmp_path / "notes"
    worker = await spawn(shutdown_timeout=0.2)
    job = await queue.enqueue(jobs.hang_once, str(path))
    waiting = await queue.enqueue(jobs.work, str(tmp_path / "second"), 0)
    await waiting.result(timeout=5)
    await eventually(lambda: notes(path, "start"))
    worker.signal(signal.SIGTERM)
    assert await worker.ended() == 0

    await job.refresh()
    assert (job.is_queued, job.attempt, job.deliveries) == (True, 0, 1)
    await spawn()
    assert await job.result(timeout=10) == "attempt 1"


async def test_a_second_signal_hands_everything_back_at_once(queue: Queue, spawn, tmp_path: Path) -> None:
    worker = await spawn()
    many = [await queue.enqueue(jobs.work, str(tmp_path / "notes"), 60) for _ in range(10)]
    await eventually(lambda: len(notes(tmp_path / "notes", "start")) == 10)
    began = time.time()
    worker.signal(signal.SIGINT)
    await eventually(lambda: "stops" in worker.text())
    worker.signal(signal.SIGINT)
    assert await worker.ended() == 0
    assert time.time() - began < 5
    assert await queue.job_ids() == [job.id for job in many]
    assert len(notes(tmp_path / "notes", "cancelled")) == 10
    await queue.empty()
