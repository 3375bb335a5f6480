"""A worker keeps its leases whatever befalls its threads; if it cannot, it claims nothing, or ends in order."""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from aioq import Queue
from aioq.store import Directory
from aioq.worker.heartbeat import INTERVAL_S, LEASE_MS
from tests import jobs as simple
from tests.conftest import Server
from tests.system import jobs
from tests.system.jobs import notes
from tests.tools import eventually

pytestmark = pytest.mark.timeout(90)

LEASE_S = LEASE_MS / 1000


async def lease_of(queue: Queue, worker: str) -> float:
    """When the lease ends, by the server's clock in ms; 0 if there is none."""
    return float(await queue.connection.call(("ZSCORE", queue.store.keys.leases, worker)) or 0)


async def state_of(queue: Queue, worker: str) -> str:
    return next(
        (each.state for each in await Directory(queue.connection).workers() if each.name == worker), "gone"
    )


@pytest.mark.parametrize("thread", ["aioq-heartbeat", pytest.param("aioq-guard", marks=pytest.mark.chaos)])
async def test_a_thread_that_was_ended_is_started_again_and_no_job_runs_twice(
    queue: Queue, spawn, tmp_path: Path, thread: str
) -> None:
    path = tmp_path / "notes"
    worker = await spawn()
    long = await queue.enqueue(jobs.work, str(path), LEASE_S + INTERVAL_S + 2)
    await eventually(lambda: notes(path, "start"))
    assert await (await queue.enqueue(jobs.end_thread, thread)).result(timeout=10)
    await spawn()
    await eventually(lambda: f"the thread {thread} has ended" in worker.text())
    before = await lease_of(queue, worker.name)

    async def is_renewed() -> bool:
        return await lease_of(queue, worker.name) > before

    await eventually(is_renewed, timeout=INTERVAL_S + 1)
    assert await long.result(timeout=20) == "attempt 1"
    assert len(notes(path, "start")) == 1


@pytest.mark.chaos
async def test_a_heartbeat_that_is_ended_beside_a_blocked_event_loop_goes_on(
    queue: Queue, spawn, tmp_path: Path
) -> None:
    path = tmp_path / "notes"
    worker = await spawn()
    assert await (await queue.enqueue(jobs.end_thread, "aioq-heartbeat")).result(timeout=10)
    blocking = await queue.enqueue(jobs.block_the_loop, str(path), LEASE_S + INTERVAL_S + 2)
    await eventually(lambda: notes(path, "start"))
    await spawn()

    assert await blocking.result(timeout=20) == "done"
    assert len(notes(path, "start")) == 1
    assert "aioq-heartbeat has ended" in worker.text()


async def test_a_worker_whose_heartbeat_ends_again_and_again_ends_in_order(
    queue: Queue, server: Server, environment: dict[str, str], spawn, tmp_path: Path
) -> None:
    path, broken = tmp_path / "notes", tmp_path / "broken"
    log = (tmp_path / "log").open("w+")
    command = [sys.executable, "-m", "aioq", "worker", "--url", server.url]
    process = subprocess.Popen(command, env=environment, stderr=log)

    try:
        job = await queue.enqueue(jobs.hang_once, str(path))
        await eventually(lambda: notes(path, "start"), timeout=20)
        await (await queue.enqueue(jobs.break_heartbeat, str(broken), "exit")).result(timeout=10)
        broken.touch()
        await eventually(lambda: process.poll() is not None, timeout=20)
    finally:
        process.kill()
        process.wait()

    log.seek(0)
    text = log.read()
    log.close()
    assert process.returncode == 1, text
    assert "the thread aioq-heartbeat has ended 5 times within" in text
    await job.refresh()
    assert (job.is_queued, job.attempt, job.deliveries) == (True, 0, 1)
    await spawn()
    assert await job.result(timeout=LEASE_S) == "attempt 1"  # nobody waits for the end of a lease


@pytest.mark.chaos
async def test_a_worker_without_heartbeats_claims_nothing_until_one_is_answered(
    queue: Queue, spawn, tmp_path: Path
) -> None:
    broken = tmp_path / "broken"
    worker = await spawn()
    await (await queue.enqueue(jobs.break_heartbeat, str(broken), "away")).result(timeout=10)
    broken.touch()
    await eventually(lambda: "no heartbeat of worker" in worker.text(), timeout=LEASE_S + 2)
    job = await queue.enqueue(simple.add, 1, 2)
    await asyncio.sleep(0.5)
    assert await job.get_status() == "queued"
    broken.unlink()
    assert await job.result(timeout=3) == 3
    assert "keeps its leases again" in worker.text()


@pytest.mark.chaos  # on a busy machine the process stands still for a part of the lease, which is excused
async def test_a_worker_whose_lease_lapses_twice_claims_nothing_until_three_beats_came_in_time(
    queue: Queue, spawn, tmp_path: Path
) -> None:
    path, broken = tmp_path / "notes", tmp_path / "broken"
    worker = await spawn()
    await (await queue.enqueue(jobs.break_heartbeat, str(broken), "odd")).result(timeout=10)
    blocker = await queue.enqueue(jobs.work, str(path), 60)
    await eventually(lambda: notes(path, "start"))
    other = await spawn(concurrency=1)

    for number in (1, 2):
        broken.touch()
        # The other one takes the job; it is full then.
        await eventually(lambda number=number: other.text().count("was lost") == number, timeout=LEASE_S + 5)
        broken.unlink()

        if number == 1:
            await eventually(lambda: "lost its claim" in worker.text())
            held = await queue.enqueue(jobs.work, str(tmp_path / "second"), 60)
            await eventually(lambda: notes(tmp_path / "second", "start"))
            assert notes(tmp_path / "second", "start")[0][1] == str(worker.process.pid)

    await eventually(lambda: "has lost its lease twice within ten minutes" in worker.text())
    job = await queue.enqueue(simple.add, 1, 2, at_front=True)
    barred = time.monotonic()

    async def is_told() -> bool:
        return await state_of(queue, worker.name) == "lapsed"

    await eventually(is_told, timeout=2 * INTERVAL_S)
    assert await job.result(timeout=15) == 3
    assert time.monotonic() - barred > INTERVAL_S
    await eventually(lambda: "keeps its leases again" in worker.text().split("twice within ten minutes")[1])
    await blocker.cancel()
    await held.cancel()


@pytest.mark.chaos
async def test_a_worker_that_was_stopped_twice_for_longer_than_its_lease_goes_on_by_itself(
    queue: Queue, spawn, tmp_path: Path
) -> None:
    """As a laptop that slept."""
    worker = await spawn()
    await spawn(queues="other,default", concurrency=1)

    for _ in range(2):
        worker.signal(signal.SIGSTOP)
        await asyncio.sleep(LEASE_S + 2)
        worker.signal(signal.SIGCONT)
        await asyncio.sleep(1)
        jobs_now = [await queue.enqueue(jobs.work, str(tmp_path / "notes"), 0.01) for _ in range(30)]
        await asyncio.gather(*(job.result(timeout=10) for job in jobs_now))

    assert str(worker.process.pid) in {line[1] for line in notes(tmp_path / "notes", "start")}
    assert "twice within ten minutes" not in worker.text()


@pytest.mark.chaos
async def test_a_hundred_threads_that_compute_cost_no_lease(queue: Queue, spawn, tmp_path: Path) -> None:
    path = tmp_path / "notes"
    worker = await spawn()
    spinning = [await queue.enqueue(jobs.spin, str(path), 3 * LEASE_S) for _ in range(100)]
    # A thread begins when it has had the GIL a few times, and each of those that compute has it for 5 ms before.
    await eventually(lambda: len(notes(path, "start")) == 100, timeout=60)
    other = await spawn()
    await asyncio.gather(*(job.result(timeout=60) for job in spinning))

    assert len(notes(path, "start")) == 100
    assert "was lost" not in other.text()
    assert "no lease" not in worker.text()
    assert "lost its claim" not in worker.text()


@pytest.mark.chaos
async def test_ten_workers_that_are_killed_one_after_the_other(queue: Queue, spawn, tmp_path: Path) -> None:
    victims = [await spawn(concurrency=1) for _ in range(10)]
    hanging = [await queue.enqueue(jobs.hang_once, str(tmp_path / str(number))) for number in range(10)]
    await eventually(lambda: all(notes(tmp_path / str(number), "start") for number in range(10)))
    await spawn()
    killed: dict[str, float] = {}

    for victim in victims:
        killed[str(victim.process.pid)] = time.time()
        victim.signal(signal.SIGKILL)
        await asyncio.sleep(0.9)

    await asyncio.gather(*(job.result(timeout=30) for job in hanging))
    waits = []

    for number in range(10):
        first, second = notes(tmp_path / str(number), "start")
        waits.append(float(second[2]) - killed[first[1]])

    assert max(waits) <= 8, waits


async def test_info_names_a_worker_that_holds_jobs_without_a_lease(
    queue: Queue, server: Server, environment: dict[str, str]
) -> None:
    job = await queue.enqueue(simple.add, 1, 2)
    await queue.store.duty.join("dead", 1)
    await queue.connection.call(queue.store.duty.claim_command("dead", 1))

    async def is_late() -> bool:
        return await queue.store.duty.late_workers() == ["dead"]

    await eventually(is_late)
    command = [sys.executable, "-m", "aioq", "info", "--url", server.url]
    plain, as_json = (
        subprocess.run([*command, *more], env=environment, capture_output=True, check=True, text=True).stdout
        for more in ([], ["--json"])
    )
    assert "Worker dead holds jobs of queue default, but its lease has ended." in plain
    assert json.loads(as_json)["queues"][0]["late_workers"] == ["dead"]
    await queue.store.duty.reclaim("dead")
    assert await job.cancel() is None
