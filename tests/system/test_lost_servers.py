"""What happens when the server, or the connection to it, goes away."""

from __future__ import annotations

import asyncio
import re
import signal
from pathlib import Path

import pytest

from aioq import Queue
from tests import jobs as simple
from tests.system import jobs
from tests.system.jobs import notes
from tests.system.proxy import Proxy
from tests.tools import RunningWorker, eventually

pytestmark = pytest.mark.timeout(90)

DURABLE = ("--appendonly", "yes", "--appendfsync", "always")


async def test_work_goes_on_after_a_restart_of_the_server(own_server, spawn, tmp_path: Path) -> None:
    """Jobs before, during and after the outage: each runs once, and what ended meanwhile is delivered."""
    server = own_server(*DURABLE)
    worker = await spawn(url=server.url, concurrency=10)
    path = tmp_path / "notes"

    async with Queue("default", server.url) as queue:
        running = [await queue.enqueue(jobs.work, str(path), 1.5) for _ in range(5)]
        await eventually(lambda: len(notes(path, "start")) == 5)
        waiting = [await queue.enqueue(jobs.work, str(path), 0.01) for _ in range(200)]
        pending = asyncio.gather(*(job.result(timeout=40) for job in [*running, *waiting]))
        server.stop(kill=True)
        await eventually(lambda: len(notes(path, "end")) >= 5, describe="jobs go on without a server")
        server.start()

        assert set(await pending) == {"attempt 1"}
        assert len(notes(path, "start")) == len(notes(path, "end")) == 205
        after = await queue.enqueue(simple.add, 1, 2)
        assert await after.result(timeout=10) == 3
        assert (await queue.store.reads.count())["started"] == 0
        assert (
            len(re.findall(rf"worker {worker.name}: the server answers again after \d+\.\d s", worker.text())) == 1
        )


@pytest.mark.chaos
async def test_nobody_is_declared_dead_after_a_long_outage(own_server, spawn, tmp_path: Path) -> None:
    """The server is away for longer than a lease. The workers live, so their jobs must not run twice."""
    server = own_server(*DURABLE)
    for _ in range(2):
        await spawn(url=server.url, concurrency=4)
    path = tmp_path / "notes"

    async with Queue("default", server.url) as queue:
        running = [await queue.enqueue(jobs.work, str(path), 14) for _ in range(8)]
        await eventually(lambda: len(notes(path, "start")) == 8)
        server.stop()
        await asyncio.sleep(8)  # the outage itself: longer than a lease of 5 s
        server.start()
        assert set(await asyncio.gather(*(job.result(timeout=40) for job in running))) == {"attempt 1"}
        assert len(notes(path, "start")) == 8
        await running[0].refresh()
        assert running[0].deliveries == 0


async def test_a_server_that_has_forgotten_the_end_of_a_run_gets_it_again(own_server, spawn, tmp_path) -> None:
    """The worker lives and holds nothing; a server that lost its last writes says that the job runs there.

    It has noticed nothing but that its connections were closed, as when another server has taken over.
    """
    server = own_server(*DURABLE)
    worker = await spawn(url=server.url)
    path, gate = tmp_path / "notes", tmp_path / "gate"

    async with Queue("default", server.url) as queue:
        job = await queue.enqueue(jobs.await_file, str(path), str(gate))
        await eventually(lambda: notes(path, "start"))
        (file,) = (server.folder / "appendonlydir").glob("*.incr.aof")
        size = file.stat().st_size
        gate.touch()
        assert await job.result(timeout=10) == "attempt 1"
        await asyncio.sleep(0.2)  # so that the worker is idle by now
        worker.signal(signal.SIGSTOP)
        server.stop(kill=True)

        with file.open("r+b") as tail:
            tail.truncate(size)

        server.start()
        worker.signal(signal.SIGCONT)
        assert await job.result(timeout=30) == "attempt 1"
        assert len(notes(path, "start")) == 2
        await job.refresh()
        assert (job.fence, job.deliveries) == (2, 0)
        assert worker.process.poll() is None


@pytest.mark.parametrize(
    "verb",
    [
        "enqueue",
        "claim",
        "finish",
        "fail",
        "retry",
        "save_meta",
        "requeue",
        "cancel",
        "fail unkept",
        "stop",
        "delete",
    ],
)
async def test_a_lost_reply_neither_loses_nor_doubles_a_job(
    server, tmp_path: Path, verb: str, caplog: pytest.LogCaptureFixture
) -> None:
    """The script runs, its reply never arrives, and the connection breaks."""
    async with (
        Queue("default", server.url) as direct,
        Proxy(server.socket) as proxy,
        RunningWorker(["default"], connection=proxy.url),
        Queue("default", proxy.url) as queue,
    ):
        await queue.count()
        proxy.cut_reply_of(verb.split()[0])
        await _SCENES[verb](queue, direct, tmp_path / "notes")
        await eventually(lambda: proxy.cuts == 1, describe=f"a cut reply of {verb}")
        await eventually(lambda: _is_drained(direct))

    # What the first call has recorded is no loss, and is not told as one.
    assert [each.getMessage() for each in caplog.records if "not recorded (" in each.getMessage()] == []


async def _is_drained(queue: Queue) -> bool:
    counts = await queue.store.reads.count()
    return counts.queued == counts["started"] == counts["scheduled"] == 0


async def _runs_once(queue: Queue, direct: Queue, path: Path) -> None:
    job = await queue.enqueue(jobs.work, str(path), 0.05)
    assert await (await direct.fetch_job(job.id)).result(timeout=20) == "attempt 1"
    assert len(notes(path, "start")) == 1
    assert await direct.finished_job_registry.count() == 1


async def _fails_once(queue: Queue, direct: Queue, path: Path) -> None:
    job = await queue.enqueue(simple.div_by_zero, 1)
    await eventually(lambda: direct.failed_job_registry.contains(job.id))
    assert [each.type for each in await (await direct.fetch_job(job.id)).results()] == ["failed"]


async def _retries_once(queue: Queue, direct: Queue, path: Path) -> None:
    job = await queue.enqueue(simple.div_by_zero, 1, retry=2)
    await eventually(lambda: direct.failed_job_registry.contains(job.id))
    failed = await direct.fetch_job(job.id)
    # A claim whose reply was lost takes a fence, but neither an attempt nor a place in the history.
    assert failed.attempt == len(await failed.results()) == 3


async def _keeps_meta(queue: Queue, direct: Queue, path: Path) -> None:
    job = await queue.enqueue_in(60, simple.noop)
    job.meta["a"] = 1
    await job.save_meta()
    assert (await direct.fetch_job(job.id)).meta == {"a": 1}
    await job.delete()


async def _requeues_once(queue: Queue, direct: Queue, path: Path) -> None:
    job = await queue.enqueue_in(60, jobs.work, str(path), 0.01)
    await job.cancel()
    # The repeated call finds the job queued, running or finished already; it must not run twice.
    await queue.requeue([job.id])
    assert await (await direct.fetch_job(job.id)).result(timeout=20) == "attempt 1"
    assert len(notes(path, "start")) == 1


async def _cancels_once(queue: Queue, direct: Queue, path: Path) -> None:
    job = await queue.enqueue_in(60, simple.noop)
    await job.cancel()
    assert await direct.canceled_job_registry.contains(job.id)


async def _fails_once_and_is_gone(queue: Queue, direct: Queue, path: Path) -> None:
    job = await queue.enqueue(jobs.note_and_fail, str(path), failure_ttl=0)
    await eventually(lambda: _is_gone(direct, job.id))
    assert len(notes(path, "start")) == 1


async def _is_gone(queue: Queue, job_id: str) -> bool:
    return await queue.fetch_job(job_id) is None


async def _stops_once(queue: Queue, direct: Queue, path: Path) -> None:
    job = await queue.enqueue(jobs.work, str(path), 30)
    await eventually(lambda: notes(path, "start"))
    await job.stop()
    assert await direct.stopped_job_registry.contains(job.id)


async def _deletes_once(queue: Queue, direct: Queue, path: Path) -> None:
    job = await queue.enqueue_in(60, simple.noop)
    await job.delete()
    assert await direct.fetch_job(job.id) is None


_SCENES = {
    "fail unkept": _fails_once_and_is_gone,
    "stop": _stops_once,
    "delete": _deletes_once,
    "enqueue": _runs_once,
    "claim": _runs_once,
    "finish": _runs_once,
    "fail": _fails_once,
    "retry": _retries_once,
    "save_meta": _keeps_meta,
    "requeue": _requeues_once,
    "cancel": _cancels_once,
}
