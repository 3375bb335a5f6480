"""Pools with real processes: what happens when they die, are replaced, or are told to stop."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import redis

from aioq import InvalidInput, JobFailed, Queue, WorkerPool
from aioq.errors import WorkerError
from aioq.store import Directory
from tests.pool import jobs
from tests.pool.jobs import notes
from tests.tools import eventually

pytestmark = pytest.mark.timeout(90)

Start = Callable[..., Any]


async def are_listed(queue: Queue, pool: Any) -> bool:
    """Whether the server lists the workers that serve, and no other."""
    names = {each.name for each in await Directory(queue.connection).workers()}

    return names == {each.worker for each in pool.serving}


async def test_jobs_run_in_several_processes_which_leave_nothing_behind(
    queue: Queue, start_pool: Start, raw: redis.Redis
) -> None:
    pool = await start_pool(concurrency=1)
    ran = {await job.result(timeout=20) for job in [await queue.enqueue(jobs.nap, 0.3) for _ in range(4)]}
    assert ran == set(pool.pids)
    assert len(ran) == 2
    await eventually(lambda: are_listed(queue, pool))

    pool.pool.request_stop()
    assert await pool.ends() == 4
    assert pool.living == []
    assert not raw.exists("aioq:workers", "aioq:{default}:leases", "aioq:{default}:lane:main")


# Processes that die


async def start_of_second_run(path: Path) -> float:
    """When the job has begun for the second time."""
    await eventually(lambda: len(notes(path)) == 2, timeout=20, describe="a second run")

    return float(notes(path)[1][1])


async def test_the_job_of_a_killed_process_is_started_by_another_one_at_once(
    queue: Queue, start_pool: Start, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "notes"
    pool = await start_pool()
    job = await queue.enqueue(jobs.hang_once, str(path))
    await eventually(lambda: notes(path))
    victim = next(each for each in pool.serving if each.pid == int(notes(path)[0][0]))

    killed = time.time()
    os.kill(victim.pid, signal.SIGKILL)
    assert await start_of_second_run(path) - killed < 2.5  # no lease ends sooner than 2.8 s after a kill
    assert await job.result(timeout=20) == "attempt 1"
    await job.refresh()
    assert (job.deliveries, job.fence) == (1, 2)
    assert [each.type for each in await job.results()] == ["finished", "abandoned"]

    await pool.replaced(victim.pid)
    await eventually(lambda: are_listed(queue, pool))
    assert f"process {victim.number} (pid {victim.pid}) was killed by SIGKILL, signal 9" in caplog.text
    assert f"worker {victim.worker} was lost: 1 job of queue default went back, 0 failed" in caplog.text


@pytest.mark.chaos  # it takes long
@pytest.mark.parametrize("code", [0, 3])
async def test_a_job_that_ends_its_process_runs_again_elsewhere(
    queue: Queue, start_pool: Start, tmp_path: Path, code: int
) -> None:
    path = tmp_path / "notes"
    await start_pool()
    began = time.monotonic()
    await (await queue.enqueue(jobs.exit_at_once, str(path), code)).result(timeout=20)
    assert time.monotonic() - began < 2.5
    assert len(notes(path)) == 2


async def test_a_job_that_kills_each_process_fails_and_takes_no_other_job_along(
    queue: Queue, start_pool: Start, tmp_path: Path
) -> None:
    path = tmp_path / "notes"
    pool = await start_pool(concurrency=1)
    poison = await queue.enqueue(jobs.die, str(path))

    with pytest.raises(JobFailed, match="lost 3 times"):
        await poison.result(timeout=40)

    assert len(notes(path)) == 3
    assert await (await queue.enqueue(jobs.nap, 0)).result(timeout=20) > 0
    await pool.replaced(*(int(pid) for (pid,) in notes(path)))


@pytest.mark.chaos  # it takes long
async def test_a_process_that_is_told_to_stop_by_somebody_else_is_replaced(
    queue: Queue, start_pool: Start, tmp_path: Path
) -> None:
    path = tmp_path / "go"
    pool = await start_pool(processes=1)
    job = await queue.enqueue(jobs.wait_for, str(path))
    await eventually(lambda: path.with_suffix(".begun").exists())
    (first,) = pool.pids
    os.kill(first, signal.SIGTERM)
    path.touch()
    assert await job.result(timeout=10) == first
    await pool.replaced(first)
    await job.refresh()
    assert job.deliveries == 0


@pytest.mark.chaos  # it takes long
async def test_a_process_that_dies_again_and_again_does_not_spin(
    start_pool: Start, folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = folder / "starts"
    (folder / "crashing.py").write_text(
        "import os, time\n"
        f"with open({str(path)!r}, 'a') as file:\n    print(time.time(), file=file)\n"
        "os._exit(7)\n"
    )
    pool = await start_pool(processes=1, imports="crashing", wait=False)
    await eventually(lambda: len(notes(path)) == 3, timeout=40)
    first, second, third = (float(at) for (at,) in notes(path))
    assert second - first >= 0.5
    assert third - second >= 1.0
    assert "process 1 (pid" in caplog.text
    assert "has ended with the exit code 7" in caplog.text
    pool.pool.request_stop()
    assert await pool.ends() == 0


# Processes that cannot begin


async def test_a_pool_whose_processes_cannot_begin_ends_with_their_error(start_pool: Start) -> None:
    with pytest.raises(WorkerError, match="there is no module nowhere_at_all to import"):
        await start_pool(imports="nowhere_at_all")

    with pytest.raises(WorkerError, match=r"broken_lifespan has failed at its start: .*the database is away"):
        await start_pool(lifespan=jobs.broken_lifespan)


async def test_a_memory_limit_that_no_process_can_keep_ends_the_pool(start_pool: Start) -> None:
    with pytest.raises(InvalidInput, match="max_memory=1000000: expected more than the"):
        await start_pool(max_memory="1MB")


# Processes that are replaced


@pytest.mark.chaos
async def test_a_process_is_replaced_when_it_has_claimed_its_jobs(queue: Queue, start_pool: Start) -> None:
    await start_pool(max_jobs=5, concurrency=2)
    ran = [await job.result(timeout=30) for job in [await queue.enqueue(jobs.pid) for _ in range(23)]]
    assert max(ran.count(each) for each in set(ran)) <= 5
    assert len(set(ran)) >= 5


@pytest.mark.chaos  # it takes long
async def test_a_process_that_has_claimed_its_jobs_is_replaced_while_they_run(
    queue: Queue, start_pool: Start, tmp_path: Path
) -> None:
    pool = await start_pool(processes=1, max_jobs=1)
    (old,) = pool.pids
    path = tmp_path / "go"
    long = await queue.enqueue(jobs.wait_for, str(path))
    assert await (await queue.enqueue(jobs.pid)).result(timeout=20) != old
    assert old in {each.pid for each in pool.living}
    path.touch()
    assert await long.result(timeout=20) == old
    await pool.replaced(old)


async def test_a_process_that_has_grown_is_replaced(
    queue: Queue, start_pool: Start, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    pool = await start_pool(processes=1, max_memory="200MB")
    (old,) = pool.pids
    assert await (await queue.enqueue(jobs.keep, 250)).result(timeout=20) == old
    await pool.replaced(old)
    assert "process 1 is replaced: it has " in caplog.text
    assert " MB of memory, more than 200 MB" in caplog.text


async def test_a_restart_loads_code_anew_and_fails_no_job(queue: Queue, start_pool: Start, folder: Path) -> None:
    (folder / "changing.py").write_text("VERSION = 'old'\n")
    pool = await start_pool(imports="changing")
    before = pool.pids
    assert await (await queue.enqueue(jobs.version)).result(timeout=10) == "old"
    (folder / "changing.py").write_text("VERSION = 'the new one'\n")
    path, made, stop = folder / "notes", [], asyncio.Event()

    async def load() -> None:
        while not stop.is_set():
            made.append(await queue.enqueue(jobs.nap, 0.02, str(path)))
            await asyncio.sleep(0.01)

    loading = asyncio.create_task(load())
    pool.pool.request_restart()
    await pool.replaced(*before)
    stop.set()
    await loading

    assert len(made) > 10
    for job in made:
        await job.result(timeout=20)
    ran = [job_id for _, job_id in notes(path)]
    assert sorted(ran) == sorted(job.id for job in made), "each has run once"
    assert {await job.result(timeout=20) for job in [await queue.enqueue(jobs.version) for _ in range(9)]} == {
        "the new one"
    }


@pytest.mark.chaos  # it takes long
async def test_a_restart_with_broken_code_leaves_the_old_processes(
    queue: Queue, start_pool: Start, folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (folder / "breaking.py").write_text("")
    pool = await start_pool(imports="breaking")
    before = pool.pids
    (folder / "breaking.py").write_text("raise ValueError('no good')\n")
    pool.pool.request_restart()
    await eventually(lambda: "the other processes are not replaced" in caplog.text, timeout=20)
    assert "process 1 could not be replaced: the new one has ended with the exit code 1: importing" in caplog.text
    assert pool.pids == before
    assert await (await queue.enqueue(jobs.pid)).result(timeout=10) in before

    (folder / "breaking.py").write_text("")
    pool.pool.request_restart()
    await pool.replaced(*before)


async def test_a_process_that_does_not_stop_is_killed(
    queue: Queue, start_pool: Start, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("aioq.pool.pool.LEAVING_S", 1)
    pool = await start_pool(processes=1, shutdown_timeout=0, cancel_grace=0)
    (old,) = pool.pids
    job = await queue.enqueue(jobs.hold_the_interpreter_once)
    await eventually(lambda: is_started(job))
    pool.pool.request_restart()
    await pool.replaced(old)
    assert f"process 1 (pid {old}) has not ended in time; it is killed" in caplog.text
    assert await job.result(timeout=20) == 2


async def is_started(job: Any) -> bool:
    await job.refresh()

    return job.is_started


# The end of a pool


async def test_a_stop_lets_running_jobs_end_and_a_second_one_gives_them_back(
    queue: Queue, start_pool: Start, tmp_path: Path
) -> None:
    path = tmp_path / "go"
    pool = await start_pool()
    job = await queue.enqueue(jobs.wait_for, str(path))
    await eventually(lambda: path.with_suffix(".begun").exists())
    pool.pool.request_stop()
    await eventually(lambda: len(pool.living) == 1)
    path.touch()
    assert await pool.ends() >= 1  # a busy machine may have claimed it twice
    await job.refresh()
    assert job.is_finished

    path.unlink()
    again = await start_pool()
    job = await queue.enqueue(jobs.wait_for, str(path))
    await eventually(lambda: [job.id] in notes(path.with_suffix(".begun")))
    again.pool.request_stop()
    again.pool.request_stop()
    await again.ends()
    await job.refresh()
    # One process may give it back before the other one has read that it stops, and then it runs there, too.
    runs = notes(path.with_suffix(".begun")).count([job.id])
    assert (job.is_queued, job.attempt, job.deliveries) == (True, 0, runs)
    assert runs in (1, 2)
    await queue.empty()


@pytest.mark.chaos  # it takes long
async def test_a_pool_that_is_cancelled_gives_its_jobs_back(
    queue: Queue, start_pool: Start, tmp_path: Path
) -> None:
    path = tmp_path / "go"
    pool = await start_pool()
    job = await queue.enqueue(jobs.wait_for, str(path))
    await eventually(lambda: path.with_suffix(".begun").exists())
    pool.task.cancel()

    with pytest.raises(asyncio.CancelledError):
        await pool.task

    assert pool.living == []
    await job.refresh()
    assert job.is_queued
    await queue.empty()


async def test_a_stop_that_is_asked_for_before_the_run_or_while_it_starts(start_pool: Start, server: Any) -> None:
    pool = await start_pool(wait=False)
    pool.pool.request_stop()
    assert await pool.ends() == 0

    early = WorkerPool("default", server.url, processes=2)
    early.request_stop()
    assert await early.run() == 0


@pytest.mark.chaos  # it takes long
async def test_a_burst_ends_with_its_last_process(queue: Queue, start_pool: Start, tmp_path: Path) -> None:
    path = tmp_path / "notes"
    made = [await queue.enqueue(jobs.nap, 0.01) for _ in range(20)]
    made.append(await queue.enqueue(jobs.exit_at_once, str(path), 0))
    pool = await start_pool(run={"burst": True}, max_jobs=8, wait=False)
    await pool.ends()
    for job in made:
        await job.refresh()
    assert all(job.is_finished for job in made)


async def test_a_pool_runs_once_at_a_time(start_pool: Start) -> None:
    pool = await start_pool(processes=1, wait=False)
    await asyncio.sleep(0)

    with pytest.raises(WorkerError, match="runs already"):
        await pool.pool.run()


# What it is told


async def test_each_process_enters_the_lifespan(queue: Queue, start_pool: Start) -> None:
    pool = await start_pool(lifespan="tests.pool.jobs:lifespan", name="web")
    opened, pid = await (await queue.enqueue(jobs.resources)).result(timeout=10)
    assert opened == pid
    assert [each.worker.rpartition(".")[0] for each in pool.serving] == ["web-1", "web-2"]


async def test_each_process_calls_the_hooks(start_pool: Start, tmp_path: Path, monkeypatch: Any) -> None:
    path = tmp_path / "hooks"
    monkeypatch.setenv("HOOKS", str(path))
    pool = await start_pool(on_startup=[jobs.note_start], on_shutdown=["tests.pool.jobs:note_stop"])
    pids = pool.pids
    assert sorted(notes(path)) == sorted(["start", str(pid)] for pid in pids)
    pool.pool.request_stop()
    await pool.ends()
    assert sorted(notes(path)[2:]) == sorted(["stop", str(pid)] for pid in pids)


async def test_a_secret_and_a_prefix_reach_the_processes_and_no_command_line(
    server: Any, start_pool: Start
) -> None:
    secret = "a secret of the test that nobody sees"
    pool = await start_pool(processes=1, secret=secret, prefix="shop")

    async with Queue("default", server.url, secret=secret, prefix="shop") as queue:
        (pid,) = pool.pids
        assert await (await queue.enqueue(jobs.pid)).result(timeout=10) == pid
        words = Path(f"/proc/{pid}/cmdline").read_bytes()
        assert secret.encode() not in words
        assert server.url.encode() not in words
        pool.pool.request_stop()
        await pool.ends()
        await queue.delete()


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"processes": 0}, "processes=0: expected a whole number of at least 1"),
        ({"processes": True}, "processes=True: expected a whole number"),
        ({"max_jobs": 0}, "max_jobs=0: expected a whole number of at least 1"),
        ({"max_memory": "much"}, "max_memory='much': expected a size greater than 0, such as"),
        ({"max_memory": 0}, "max_memory=0: expected a size greater than 0"),
        ({"concurrency": 0}, "concurrency=0: expected a whole number"),
        ({"shutdown_timeout": "5x"}, "shutdown_timeout='5x'"),
        ({"queues": "a b"}, "queue name"),
        (
            {"queues": Queue("mail", "redis://localhost")},
            "expected the name of a queue, since a pool passes it on",
        ),
        ({"connection": object()}, "connection=.*: expected the URL of the server"),
        ({"lifespan": lambda: None}, "lifespan=.*: expected a function that other processes can import"),
        ({"lifespan": "nothing"}, "lifespan='nothing': expected a module and a name in it"),
        ({"name": "a b"}, "name='a b': expected 1 to 100 of the characters"),
    ],
    ids=lambda value: ",".join(value) if isinstance(value, dict) else "",
)
def test_what_cannot_be_used_is_refused_at_once(options: dict[str, Any], error: str) -> None:
    with pytest.raises(InvalidInput, match=error):
        WorkerPool(options.pop("queues", "default"), **options)
