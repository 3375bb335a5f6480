"""A job that ends its process, beside jobs that do no harm; each worker is started anew when it has died.

Those that do no harm are carried out, and use up no attempt. The one that is to blame fails alone, in few deaths.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from aioq import Job, Queue
from tests.conftest import Server
from tests.system import jobs
from tests.system.jobs import notes
from tests.tools import eventually

pytestmark = pytest.mark.timeout(180)


class Supervisor:
    """Keeps `aioq worker` processes running."""

    def __init__(self, folder: Path, url: str, environment: dict[str, str]) -> None:
        self.deaths = 0
        self._log = folder / "workers.log"
        self._environment = environment | {"AIOQ_REDIS_URL": url}
        self._workers: list[tuple[subprocess.Popen[bytes], tuple[str, ...]]] = []

    def start(self, *options: str) -> subprocess.Popen[bytes]:
        with self._log.open("ab") as log:
            worker = subprocess.Popen(
                [sys.executable, "-m", "aioq", "worker", *options], env=self._environment, stdout=log, stderr=log
            )

        self._workers.append((worker, options))

        return worker

    async def run(self) -> None:
        while True:
            for each in [each for each in self._workers if each[0].poll() is not None]:
                self.deaths += 1
                self._workers.remove(each)
                self.start(*each[1])

            await asyncio.sleep(0.05)

    def kill_one(self) -> None:
        self._workers[0][0].kill()

    def destroy(self) -> None:
        for worker, _ in self._workers:
            worker.kill()
            worker.wait()


@pytest.fixture
async def supervise(
    server: Server, tmp_path: Path, environment: dict[str, str]
) -> AsyncIterator[Callable[..., Any]]:
    """Starts so many workers with these options, and any that has died anew."""
    supervisors: list[tuple[Supervisor, asyncio.Task[None]]] = []

    def start(count: int, *options: str) -> Supervisor:
        supervisor = Supervisor(tmp_path, server.url, environment)

        for _ in range(count):
            supervisor.start(*options)

        supervisors.append((supervisor, asyncio.create_task(supervisor.run())))

        return supervisor

    yield start

    for supervisor, task in supervisors:
        task.cancel()
        supervisor.destroy()


async def all_end(found: Sequence[Job[Any]], timeout: float) -> float:
    """Until all these jobs have ended; in how many seconds."""
    began = time.monotonic()

    async def over() -> bool:
        await asyncio.gather(*(job.refresh() for job in found))
        await asyncio.sleep(0.2)
        return all(job.is_finished or job.is_failed for job in found)

    await eventually(over, timeout=timeout)

    return time.monotonic() - began


def assert_spared(innocents: Sequence[Job[Any]]) -> None:
    assert [job.id for job in innocents if not job.is_finished] == []
    assert {job.attempt for job in innocents} == {1}


def assert_blamed(job: Job[Any], deaths: int) -> None:
    assert job.is_failed
    assert job.exc_info is not None
    assert job.exc_info.startswith(f"AbandonedJobError: the workers that ran this job were lost {deaths} times")
    assert job.exc_info.endswith("(alone)")
    assert (job.deliveries, job.attempt) == (deaths, 0)


@pytest.mark.chaos
async def test_a_job_that_kills_its_process_fails_alone(queue: Queue, supervise) -> None:
    bad = await queue.enqueue(jobs.crash, "exit", 0.3)
    innocents = [await queue.enqueue(asyncio.sleep, 0.6) for _ in range(12)]
    supervisor = supervise(2, "-c", "20")
    await all_end([bad, *innocents], 60)

    assert_spared(innocents)
    assert_blamed(bad, 4)
    assert supervisor.deaths == 4
    assert await (await queue.enqueue(asyncio.sleep, 0)).result(timeout=10) is None


@pytest.mark.chaos
async def test_a_worker_with_one_slot_needs_three_deaths(queue: Queue, supervise) -> None:
    bad = await queue.enqueue(jobs.crash, "exit", 0.1)
    innocents = [await queue.enqueue(asyncio.sleep, 0.1) for _ in range(20)]
    supervisor = supervise(2, "-c", "1")
    await all_end([bad, *innocents], 60)

    assert_spared(innocents)
    assert_blamed(bad, 3)
    assert supervisor.deaths == 3


@pytest.mark.chaos
@pytest.mark.parametrize("way", ["exit", "segv", "kill"])
@pytest.mark.parametrize("function", [jobs.crash, jobs.crash_on_a_thread])
async def test_a_hundred_innocents_beside_a_job_that_kills_its_process(
    function: Callable[..., Any], way: str, queue: Queue, supervise
) -> None:
    innocents = [await queue.enqueue(asyncio.sleep, 2) for _ in range(50)]
    bad = await queue.enqueue(function, way, 0.5)
    innocents += [await queue.enqueue(asyncio.sleep, 2) for _ in range(50)]
    supervisor = supervise(3, "-c", "40")
    took = await all_end([bad, *innocents], 100)
    print(f"{function.__name__} {way}: {supervisor.deaths} deaths, {took:.0f} s")

    assert_spared(innocents)
    assert_blamed(bad, 4)
    assert supervisor.deaths <= 4
    assert took <= 90


@pytest.mark.chaos
@pytest.mark.parametrize("order", ["default,other", "other,default"])
async def test_a_worker_of_several_queues_runs_such_a_job_alone(order: str, queue: Queue, supervise) -> None:
    other = Queue("other", queue.connection)
    bad = await queue.enqueue(jobs.crash, "exit", 0.5)
    innocents = [await each.enqueue(asyncio.sleep, 1) for each in (queue, other) for _ in range(30)]
    supervisor = supervise(2, "-c", "40", *order.split(","))
    stream = asyncio.create_task(keep_busy(other))  # there is always something else to do
    took = await all_end([bad, *innocents], 100)
    stream.cancel()
    print(f"{order}: {supervisor.deaths} deaths, {took:.0f} s")

    assert_spared(innocents)
    assert_blamed(bad, 4)
    assert supervisor.deaths == 4
    # Nothing of the other queue ran beside the last run: else it would have been on a fourth dead worker, too.
    assert max(job.deliveries for job in await other.fetch_many(await other.finished_job_registry.job_ids())) <= 3


async def keep_busy(queue: Queue) -> None:
    while True:
        await queue.enqueue_many([Queue.prepare_data(asyncio.sleep, (0.5,)) for _ in range(4)])
        await asyncio.sleep(0.1)


@pytest.mark.chaos
async def test_two_jobs_that_kill_their_process(queue: Queue, supervise) -> None:
    bad = [await queue.enqueue(jobs.crash, "exit", 0.5), await queue.enqueue(jobs.crash, "kill", 0.7)]
    innocents = [await queue.enqueue(asyncio.sleep, 2) for _ in range(60)]
    supervisor = supervise(3, "-c", "40")
    took = await all_end([*bad, *innocents], 110)
    print(f"two: {supervisor.deaths} deaths, {took:.0f} s")

    assert_spared(innocents)
    assert supervisor.deaths <= 8

    for job in bad:
        assert job.is_failed
        assert "(alone)" in (job.exc_info or "")


@pytest.mark.chaos
async def test_long_innocents_keep_such_a_job_waiting_and_are_spared(queue: Queue, supervise) -> None:
    supervisor = supervise(2, "-c", "20")
    innocents = [await queue.enqueue(asyncio.sleep, 12) for _ in range(10)]
    bad = await queue.enqueue(jobs.crash, "exit", 0.5)
    took = await all_end([bad, *innocents], 150)
    print(f"long: {supervisor.deaths} deaths, {took:.0f} s")

    assert_spared(innocents)
    assert_blamed(bad, 4)
    assert supervisor.deaths == 4


@pytest.mark.chaos
async def test_jobs_that_were_claimed_ahead_are_spared(queue: Queue, supervise) -> None:
    """Short jobs on few slots: many are held that have not begun when the process dies."""
    innocents = [await queue.enqueue(asyncio.sleep, 0.02) for _ in range(1000)]
    bad = await queue.enqueue(jobs.crash, "exit", 0)
    innocents += [await queue.enqueue(asyncio.sleep, 0.02) for _ in range(1000)]
    supervisor = supervise(2, "-c", "10")
    took = await all_end([bad, *innocents], 100)
    print(f"ahead: {supervisor.deaths} deaths, {took:.0f} s")

    assert_spared(innocents)
    assert_blamed(bad, 4)
    assert supervisor.deaths == 4


@pytest.mark.chaos
async def test_a_busy_worker_runs_such_a_job_in_bounded_time(queue: Queue, supervise) -> None:
    """A single worker that always has more to do than slots gets empty for it, and goes on."""
    supervisor = supervise(1, "-c", "20")
    stream = asyncio.create_task(keep_busy(queue))
    bad = await queue.enqueue(jobs.crash, "exit", 0.2)
    took = await all_end([bad], 100)
    stream.cancel()
    print(f"busy: {supervisor.deaths} deaths, {took:.0f} s")
    await eventually(lambda: is_empty(queue), timeout=30)

    assert_blamed(bad, 4)
    assert supervisor.deaths == 4
    assert await queue.failed_job_registry.count() == 1


async def is_empty(queue: Queue) -> bool:
    return await queue.count() + await queue.started_job_registry.count() == 0


async def test_a_hundred_jobs_of_a_killed_worker_run_again_at_once(
    queue: Queue, supervise, tmp_path: Path
) -> None:
    """After a first death nothing is held back: the jobs run beside each other on whatever worker has room."""
    path = tmp_path / "notes"
    found = [await queue.enqueue(jobs.hang_once_each, str(path)) for _ in range(100)]
    supervisor = supervise(1, "-c", "100")
    await eventually(lambda: len(notes(path, "start")) == 100, timeout=20)
    supervise(1, "-c", "100")
    await (await queue.enqueue(asyncio.sleep, 0)).result(timeout=20)
    killed = time.time()
    supervisor.kill_one()
    await eventually(lambda: len(notes(path, "start")) == 200, timeout=20)
    last = max(float(at) for _, _, at in notes(path, "start"))
    assert last - killed <= 10

    await all_end(found, 10)
    assert {job.attempt for job in found} == {1}
    assert supervisor.deaths == 1
