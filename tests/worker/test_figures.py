"""What a worker counts: each run once, told until the server answers, and at the latest when the worker leaves."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
import redis

import aioq.sync
from aioq import Job, Queue, Repeat, Retry, Worker
from aioq.errors import ServerError
from aioq.store import Connection, Store
from aioq.values.claim import Claims
from aioq.worker import figures as module
from aioq.worker.figures import Figures
from tests import jobs
from tests.conftest import Server
from tests.tools import RunningWorker, eventually
from tests.worker import tellers


@pytest.fixture
def figures(connection: Connection) -> Figures:
    return Figures(Store(connection, "default").statistics, "w1")


def words(command: Any) -> str:
    return str(command[-1])


async def test_nothing_is_told_before_its_time_and_then_until_an_answer_comes(
    figures: Figures, monkeypatch
) -> None:
    figures.note_claims(Claims("ok", [], -1, waits_ms={5: 2, 2000: 1}, expired=1))
    assert figures.command() is None
    monkeypatch.setattr(module, "TELL_S", 0)
    first = figures.command()
    assert words(first) == "expired=1 started=3 wait_ms=2010 w17=2 w44=1"
    figures.note_claims(Claims("ok", [], -1, waits_ms={5: 1}))
    assert figures.command() == first
    figures.confirm(ServerError("refused"))
    assert figures.command() == first
    figures.confirm([b"ok"])
    second = figures.command()
    assert words(second) == "started=1 wait_ms=5 w17=1"
    assert int(second[-2]) == int(first[-2]) + 1  # type: ignore[index]
    figures.confirm([b"already"])
    assert figures.command() is None  # nothing was counted, and it is not a minute yet


async def test_what_the_server_may_have_forgotten_is_not_sent_again(figures: Figures, monkeypatch) -> None:
    monkeypatch.setattr(module, "TELL_S", 0)
    figures.note_claims(Claims("ok", [], -1, waits_ms={5: 1}))
    first = figures.command()
    assert figures.command() == first
    monkeypatch.setattr(module, "SEND_AGAIN_S", -1)
    assert figures.command() is None
    figures.note_claims(Claims("ok", [], -1, waits_ms={2000: 1}))
    assert words(figures.command()) == "started=1 wait_ms=2000 w44=1"


async def test_one_that_has_counted_nothing_tells_that_once_a_minute_and_not_at_its_end(
    figures: Figures, monkeypatch
) -> None:
    monkeypatch.setattr(module, "TELL_S", 0)
    monkeypatch.setattr(module, "TELL_IDLE_S", 0)
    assert words(figures.command()) == ""
    figures.confirm([b"ok"])
    assert figures.command(at_once=True) is None


async def flaky() -> None:
    raise OSError("on purpose")


async def test_each_kind_of_end_is_counted_once(queue: Queue) -> None:
    await queue.enqueue(jobs.add, 1, 1, on_success=tellers.nothing)
    await queue.enqueue(flaky, retry=Retry(2))
    await queue.enqueue(jobs.add, 1, 1, repeat=Repeat(2))
    await queue.enqueue(jobs.many_bytes, 600_000)
    await Worker(queue).run(burst=True)
    total = (await queue.statistics()).total
    assert (total.started, total.finished, total.failed, total.retried) == (8, 5, 1, 2)
    assert (total.wait.count, total.run.count) == (8, 8)
    (left,) = await queue.departed_workers()
    assert (left.reason, left.held) == ("limit", 0)


async def test_runs_that_are_ended_from_outside_are_counted(queue: Queue) -> None:
    held = [await queue.enqueue(jobs.sleep, 60) for _ in range(4)]

    async with RunningWorker(["default"], connection=queue.connection):
        for job in held:
            await eventually(lambda job=job: has_started(job))

        await held[0].cancel()
        await held[1].stop()
        await held[2].delete()
        await eventually(lambda: has_started(held[3]))

    total = (await queue.statistics()).total
    assert (total.started, total.canceled, total.stopped, total.given_back) == (4, 2, 1, 1)
    assert total.finished == total.failed == 0
    assert [each.reason for each in await queue.departed_workers()] == ["stopped"]


async def has_started(job: Job[Any]) -> bool:
    await job.refresh()
    return job.is_started


async def test_a_worker_tells_with_its_heartbeats(queue: Queue, monkeypatch) -> None:
    monkeypatch.setattr(module, "TELL_S", 0.1)
    await queue.enqueue(jobs.add, 1, 1)
    await queue.enqueue_in(3600, jobs.add, 1, 1)

    async with RunningWorker(["default"], connection=queue.connection):

        async def has_told() -> bool:
            return (await queue.statistics()).total.finished == 1

        await eventually(has_told)
        found = await queue.statistics()
        assert (found.backlog.workers, found.backlog.scheduled, found.total.scheduled) == (1, 1, 1)


async def test_an_expired_job_is_counted(queue: Queue, raw: redis.Redis) -> None:
    job = await queue.enqueue(jobs.add, 1, 1, ttl=0.001)
    await eventually(lambda: is_late(job))
    await Worker(queue).run(burst=True)
    total = (await queue.statistics()).total
    assert (total.expired, total.started) == (1, 0)


async def is_late(job: Job[Any]) -> bool:
    await job.refresh()
    return job.is_expired


def test_code_without_an_event_loop_reads_the_same(server: Server) -> None:
    with aioq.sync.Queue("default", server.url) as queue:
        queue.enqueue(jobs.add, 1, 1)
        asyncio.run(Worker("default", server.url).run(burst=True))
        assert queue.statistics("5m").total.finished == 1
        assert queue.statistics(step="hour").total.finished == 1
        assert [each.reason for each in queue.departed_workers()] == ["limit"]
        assert queue.departed_workers(0) == []
        queue.delete()
        assert queue.statistics().total.finished == 0
        assert queue.departed_workers() == []
