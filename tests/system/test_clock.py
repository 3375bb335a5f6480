"""The server's clock is set: no job is lost, doubled or hidden for that, and no registry is shortened."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import redis

from aioq import Job, Queue, Worker
from aioq.doctor import examine
from aioq.worker.heartbeat import INTERVAL_S, LEASE_MS
from tests import jobs as simple
from tests.conftest import Server
from tests.system import jobs
from tests.system.jobs import notes
from tests.tools import assert_sound, eventually

pytestmark = pytest.mark.timeout(90)

LEASE_S = LEASE_MS / 1000
DAY_S = 86_400

Clock = Callable[[float], None]


def seldom(step: float) -> object:
    return pytest.param(step, marks=pytest.mark.chaos)


@pytest.fixture
def clocked(
    own_server: Callable[..., Server], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> tuple[Server, Clock]:
    """A server, and how its clock is set: to so many seconds ahead of the real one."""
    found = [str(each) for each in Path("/usr/lib").glob("*/faketime/libfaketime.so.1")]

    if not found:
        pytest.skip("this machine has no libfaketime; apt-get install libfaketime")

    file = tmp_path / "clock"

    def write(ahead: float) -> None:
        file.with_suffix(".new").write_text(f"{ahead:+.1f}\n")
        file.with_suffix(".new").rename(file)

    def set_clock(ahead: float) -> None:
        write(ahead)

        with redis.Redis.from_url(server.url) as client:
            while abs(client.time()[0] - time.time() - ahead) > 1.5:  # the server looks into the file now and then
                time.sleep(0.01)

    write(0)

    with monkeypatch.context() as patch:
        patch.setenv("LD_PRELOAD", found[0])
        patch.setenv("FAKETIME_TIMESTAMP_FILE", str(file))
        patch.setenv("FAKETIME_NO_CACHE", "1")
        patch.setenv("FAKETIME_DONT_FAKE_MONOTONIC", "1")
        server = own_server("--enable-debug-command", "yes")

    return server, set_clock


@pytest.mark.chaos
@pytest.mark.parametrize("step", [seldom(-600), seldom(-3), seldom(3), seldom(3.6), seldom(4.2), 600])
async def test_nobody_who_beats_is_declared_dead(
    clocked: tuple[Server, Clock], spawn, tmp_path: Path, step: float
) -> None:
    server, set_clock = clocked
    workers = [await spawn(url=server.url) for _ in range(3)]

    async with Queue("default", server.url) as queue:
        running = [await queue.enqueue(jobs.work, str(tmp_path / "notes"), LEASE_S + INTERVAL_S) for _ in range(6)]
        await eventually(lambda: len(notes(tmp_path / "notes", "start")) == 6)
        await asyncio.sleep(INTERVAL_S)  # now each knows by its beats how far the server's clock is from its own
        set_clock(step)
        assert {await job.result(timeout=30) for job in running} == {"attempt 1"}

    assert len(notes(tmp_path / "notes", "start")) == 6
    assert not any("was lost" in worker.text() for worker in workers)


@pytest.mark.chaos
@pytest.mark.parametrize("step", [-DAY_S, seldom(-20), seldom(20), seldom(DAY_S)])
async def test_a_worker_that_dies_while_the_clock_is_set_is_noticed(
    clocked: tuple[Server, Clock], spawn, tmp_path: Path, step: float
) -> None:
    server, set_clock = clocked
    path = tmp_path / "notes"
    victim = await spawn(url=server.url)

    async with Queue("default", server.url) as queue:
        job = await queue.enqueue(jobs.hang_once, str(path))
        await eventually(lambda: notes(path, "start"))
        await spawn(url=server.url)
        await spawn(url=server.url)
        set_clock(step)
        victim.signal(signal.SIGKILL)
        assert await job.result(timeout=2 * LEASE_S + INTERVAL_S + 3) == "attempt 1"


@pytest.mark.chaos
async def test_a_worker_that_died_before_the_clock_was_set_back_is_noticed_by_the_next_one(
    clocked: tuple[Server, Clock], spawn, tmp_path: Path
) -> None:
    server, set_clock = clocked
    path = tmp_path / "notes"
    victim = await spawn(url=server.url)

    async with Queue("default", server.url) as queue:
        job = await queue.enqueue(jobs.hang_once, str(path))
        await eventually(lambda: notes(path, "start"))
        victim.signal(signal.SIGKILL)
        set_clock(-600)
        await spawn(url=server.url)
        assert await job.result(timeout=LEASE_S + INTERVAL_S + 3) == "attempt 1"


async def test_registries_keep_what_ended_by_a_wrong_clock(clocked: tuple[Server, Clock]) -> None:
    server, set_clock = clocked

    async with Queue("default", server.url) as queue:

        async def end_some(first: int) -> list[Job]:
            made = [await queue.enqueue(simple.add, number, 1) for number in range(first, first + 5)]
            made += [await queue.enqueue(simple.add, number, 1, result_ttl="3d") for number in range(5)]
            made += [await queue.enqueue(simple.div_by_zero, 1) for _ in range(5)]
            await Worker("default", server.url).run(burst=True)

            return made

        before = await end_some(0)
        set_clock(10 * DAY_S)
        wrong = await end_some(5)
        set_clock(0)
        after = await end_some(10)
        await Worker("default", server.url).run(burst=True)  # a worker sweeps when it begins

        async def listed() -> tuple[set[str], set[str]]:
            return set(await queue.finished_job_registry.job_ids()), set(await queue.failed_job_registry.job_ids())

        finished, failed = await listed()
        later = [*wrong, *after]
        assert {job.id for job in later[:10] + later[15:25]} <= finished
        assert {job.id for job in later[10:15] + later[25:]} <= failed
        # The results of the usual time were over by the wrong clock, and the server has deleted them.
        assert {job.id for job in before[10:]} <= failed
        assert {job.id for job in before[:10]}.isdisjoint(finished)
        # It deletes a record when it comes by. One that has outlived its registry stands in none.
        strays = {found.name for found in await examine(queue, repair=True)}
        assert strays <= {job.id for job in before[:10]}
        await queue.store.changes.delete(list(strays))
        await assert_sound(queue)

        # They go when the usual retention of those from the wrong time is over, counted from when it was noticed.
        set_clock(1000)
        await Worker("default", server.url).run(burst=True)
        finished, failed = await listed()
        assert finished == {job.id for job in later[5:10] + later[20:25]}
        assert len(failed) == 15
        await assert_sound(queue)


async def test_a_record_that_is_there_again_when_the_clock_is_set_back_stands_in_its_registry(
    clocked: tuple[Server, Clock],
) -> None:
    """The server removes what has run out some time later. By the old clock, it has not run out."""
    server, set_clock = clocked

    async with Queue("default", server.url) as queue:
        client = redis.Redis.from_url(server.url)
        client.execute_command("DEBUG", "SET-ACTIVE-EXPIRE", "0")
        job = await queue.enqueue(simple.add, 1, 1, result_ttl=100)
        failed = await queue.enqueue(simple.div_by_zero, 1, failure_ttl=100)
        await Worker("default", server.url).run(burst=True)
        set_clock(300)
        assert await queue.finished_job_registry.job_ids() == await queue.failed_job_registry.job_ids() == []
        set_clock(0)
        assert await queue.finished_job_registry.job_ids() == [job.id]
        assert await queue.failed_job_registry.job_ids() == [failed.id]
        await assert_sound(queue)
        client.close()


async def test_scheduled_jobs_come_early_or_late_by_the_step_and_none_is_lost(
    clocked: tuple[Server, Clock],
) -> None:
    server, set_clock = clocked

    async with Queue("default", server.url) as queue:
        early = await queue.enqueue_in(300, simple.add, 1, 1)
        set_clock(600)
        late = await queue.enqueue_in(1, simple.add, 1, 1)
        assert await Worker("default", server.url).run(burst=True) == 1
        assert await early.get_status() == "finished"
        set_clock(0)
        await asyncio.sleep(1.5)
        assert await Worker("default", server.url).run(burst=True) == 0
        assert await late.get_status() == "scheduled"
        set_clock(605)
        assert await Worker("default", server.url).run(burst=True) == 1
        assert await late.get_status() == "finished"
        await assert_sound(queue)
