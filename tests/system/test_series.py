"""Series whose workers are killed: no run is lost, and none comes twice without a reason."""

from __future__ import annotations

import asyncio
import signal
from pathlib import Path

import pytest

from aioq import Queue, Repeat
from tests.system import jobs
from tests.system.jobs import notes
from tests.tools import eventually

pytestmark = pytest.mark.timeout(90)


async def test_a_run_whose_worker_is_killed_comes_again_and_the_series_goes_on(
    queue: Queue, spawn, tmp_path: Path
) -> None:
    path = tmp_path / "notes"
    victim = await spawn()
    job = await queue.enqueue(jobs.hang_once, str(path), repeat=Repeat(2, 0.1))
    await eventually(lambda: notes(path, "start"))
    await spawn()
    victim.signal(signal.SIGKILL)

    assert await job.result(timeout=20) == "attempt 1"
    await job.refresh()
    assert (len(notes(path, "start")), len(notes(path, "end"))) == (4, 3)
    assert (job.repeats, job.repeats_left, job.deliveries) == (2, 0, 0)
    assert [run.type for run in await job.results()] == ["finished", "finished", "finished", "abandoned"]


async def test_no_run_of_a_series_is_lost_though_workers_are_killed_again_and_again(
    queue: Queue, spawn, tmp_path: Path
) -> None:
    path, kills = tmp_path / "notes", 3
    workers = [await spawn(), await spawn()]
    job = await queue.enqueue(jobs.work, str(path), 0.02, repeat=Repeat(60, [0, 0.02, 0.2] + [0.05] * 57))

    for number in range(kills):
        seen = len(notes(path, "end"))
        more = min(seen + 5, 61)  # on a busy machine the series may be over while a worker starts
        await eventually(lambda more=more: len(notes(path, "end")) >= more, timeout=40)
        pid = int(notes(path, "start")[-1][1])
        (victim,) = [each for each in workers if each.process.pid == pid]
        await asyncio.sleep(0.013 * number)  # at another moment of a run, and of the pauses between two
        victim.signal(signal.SIGKILL)
        workers.append(await spawn())

    assert await job.result(timeout=40) == "attempt 1"
    await job.refresh()
    assert job.repeats == 60
    assert 61 <= len(notes(path, "end")) <= len(notes(path, "start")) <= 61 + kills
