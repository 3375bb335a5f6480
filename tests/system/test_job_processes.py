"""Processes of jobs beside a worker that is a process itself: its death, its signals, its log."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path
from typing import Any

import pytest

from aioq import Queue
from tests.tools import eventually
from tests.worker import apart
from tests.worker.apart import notes
from tests.worker.test_processes import is_gone

pytestmark = pytest.mark.timeout(90)


def children(pid: int) -> list[int]:
    return [int(each) for each in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


@pytest.mark.parametrize(
    "function",
    [
        *(pytest.param(each, marks=pytest.mark.chaos) for each in (apart.hang, apart.hang_in_c)),
        apart.hang_with_a_program,
    ],
)
async def test_no_process_survives_its_worker(queue: Queue, spawn, tmp_path: Path, function: Any) -> None:
    path = tmp_path / "notes"
    victim = await spawn(job_processes=2)
    idle = queue.using(executor="process")
    made = [await idle.enqueue(apart.work, str(tmp_path / "idle"), 0.3) for _ in range(2)]
    for job in made:
        await job.result(20)
    pids = {pid for pid, *_ in notes(tmp_path / "idle")}
    assert len(pids) == 2

    await queue.using(executor="process", job_id="lost").enqueue(function, str(path))
    await eventually(lambda: notes(path))
    pids |= set(notes(path)[0])
    victim.signal(signal.SIGKILL)
    await eventually(lambda: all(map(is_gone, pids)), timeout=3)

    lost = await queue.fetch_job("lost")
    assert lost.is_started  # until another worker notices it
    await lost.delete()


async def test_a_process_that_starts_just_then_does_not_survive_either(queue: Queue, spawn) -> None:
    victim = await spawn(job_processes=1)
    job = await queue.using(executor="process").enqueue(apart.pid)
    (child,) = await eventually(lambda: children(victim.process.pid))
    victim.signal(signal.SIGKILL)
    await eventually(lambda: is_gone(child), timeout=10)
    await job.delete()


async def test_a_signal_to_all_processes_lets_a_running_job_end(queue: Queue, spawn, tmp_path: Path) -> None:
    worker = await spawn(job_processes=1)
    job = await queue.using(executor="process").enqueue(apart.work, str(tmp_path / "notes"), 1.5)
    ((pid, *_),) = await eventually(lambda: notes(tmp_path / "notes"))

    for number in (signal.SIGINT, signal.SIGTERM):
        os.kill(int(pid), number)

    worker.signal(signal.SIGTERM)
    assert await worker.ended() == 0
    assert await job.result(5) == "done"
    assert is_gone(pid)


async def test_signals_do_not_end_a_process_while_it_starts(queue: Queue, spawn) -> None:
    worker = await spawn(job_processes=1)
    job = await queue.using(executor="process").enqueue(apart.pid)
    (child,) = await eventually(lambda: children(worker.process.pid))
    os.kill(child, signal.SIGINT)
    os.kill(child, signal.SIGTERM)
    assert await job.result(20) == child


async def test_a_terminal_interrupts_the_worker_alone(
    queue: Queue, server, environment: dict[str, str], tmp_path: Path
) -> None:
    job = await queue.using(executor="process").enqueue(apart.work, str(tmp_path / "notes"), 1.5)
    command = ["-m", "aioq", "worker", "--url", server.url, "--job-processes", "1"]
    worker = subprocess.Popen(
        [apart.sys.executable, *command], env=environment, process_group=0, stderr=subprocess.PIPE
    )

    try:
        ((pid, *_),) = await eventually(lambda: notes(tmp_path / "notes"), timeout=20)
        os.killpg(worker.pid, signal.SIGINT)  # as Ctrl-C does
        _, log = worker.communicate(timeout=30)
    finally:
        worker.kill()

    assert worker.returncode == 0
    assert await job.result(5) == "done"
    assert is_gone(pid)
    assert b"Traceback" not in log


async def test_what_a_job_says_stands_in_the_log_of_the_worker(queue: Queue, spawn) -> None:
    worker = await spawn(job_processes=1)
    job = await queue.using(executor="process").enqueue(apart.speak)
    await job.result(20)

    for text in (
        "a printed line\n",
        "an unfinished line",
        "a line of stderr\n",
        "WARNING a logged warning\n",
        "INFO a logged fact\n",
        "a line of a program\n",
    ):
        assert text in worker.text()

    assert "a detail" not in worker.text()  # the level is the worker's


async def test_a_crash_shows_the_line_of_the_job_in_the_log(queue: Queue, spawn, tmp_path: Path) -> None:
    worker = await spawn(job_processes=1)
    job = await queue.using(executor="process").enqueue(apart.die, str(tmp_path / "notes"), "crash")
    await eventually(job_has_failed(job))
    assert "Fatal Python error: Segmentation fault" in worker.text()
    assert "apart.py" in worker.text()


def job_has_failed(job: Any) -> Any:
    async def has() -> bool:
        return await job.get_status() == "failed"

    return has
