"""Errors that nobody foresaw, thrown into what a worker rests on: each is logged, and the work goes on."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any

import pytest
import redis

from aioq import Queue, ServerError
from aioq.errors import ServerUnreachable
from aioq.store import Connection
from aioq.store.duty import Duty
from aioq.store.levels import Fsync
from aioq.store.net.wire import Wire
from aioq.worker import service
from aioq.worker.courier import Courier
from aioq.worker.demand import Demand
from aioq.worker.recovery import Recovery
from tests import jobs
from tests.conftest import Server
from tests.store.tools import take
from tests.tools import RunningWorker, eventually


class Thrown(Exception):
    """What nobody foresaw."""


def throw_into(
    monkeypatch: pytest.MonkeyPatch, owner: type, name: str, times: int = 1, error: type[BaseException] = Thrown
) -> list[None]:
    """The next calls of a method raise; gives a list that grows with them."""
    thrown: list[None] = []
    method = getattr(owner, name)

    def call(*args: Any, **kwargs: Any) -> Any:
        if len(thrown) < times:
            thrown.append(None)
            raise error(name)

        return method(*args, **kwargs)

    monkeypatch.setattr(owner, name, call)

    return thrown


def is_logged(
    caplog: pytest.LogCaptureFixture, level: int = logging.ERROR, error: type[BaseException] = Thrown
) -> bool:
    return any(
        each.levelno >= level and each.exc_info is not None and each.exc_info[0] is error
        for each in caplog.records
    )


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service, "UNFORESEEN_PAUSE_S", 0.01)


@pytest.mark.parametrize("times", [1, 3])
@pytest.mark.parametrize(
    ("owner", "name"),
    [
        (Duty, "sweep"),  # the sweeper
        (Courier, "_send"),
        (Courier, "_turn"),
        (Courier, "_exchange"),
        (Recovery, "_resync"),
        (Demand, "conclude"),
    ],
)
async def test_a_loop_goes_on(
    queue: Queue,
    start_worker: Callable[..., Any],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    at_once: None,
    owner: type,
    name: str,
    times: int,
) -> None:
    thrown = throw_into(monkeypatch, owner, name, times)
    running: RunningWorker = await start_worker(concurrency=1)

    if name == "_resync":  # what follows a reply that may have been lost
        assert running.worker._service is not None
        running.worker._service.courier._recovery.in_doubt = True

    made = [await queue.enqueue(jobs.add, number, 2) for number in range(20)]
    assert [await job.result(20) for job in made] == [number + 2 for number in range(20)]
    await eventually(lambda: len(thrown) == times, timeout=20)
    await eventually(lambda: is_logged(caplog))
    assert not running.task.done()


@pytest.mark.parametrize(("owner", "name"), [(Duty, "sweep"), (Courier, "_turn"), (Recovery, "_resync")])
async def test_a_cancellation_that_was_meant_for_something_else_ends_no_loop(
    queue: Queue,
    start_worker: Callable[..., Any],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    at_once: None,
    owner: type,
    name: str,
) -> None:
    """Who awaits a future that somebody cancels meets a CancelledError, and nobody has stopped the worker."""
    thrown = throw_into(monkeypatch, owner, name, 2, asyncio.CancelledError)
    running: RunningWorker = await start_worker(concurrency=1)
    assert running.worker._service is not None
    running.worker._service.courier._recovery.in_doubt = True

    made = [await queue.enqueue(jobs.add, number, 2) for number in range(20)]
    assert [await job.result(20) for job in made] == [number + 2 for number in range(20)]
    await eventually(lambda: len(thrown) == 2, timeout=20)
    await eventually(lambda: is_logged(caplog, error=asyncio.CancelledError))
    assert not running.task.done()


async def test_an_idle_worker_is_woken_although_its_waker_met_an_error(
    queue: Queue,
    start_worker: Callable[..., Any],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    at_once: None,
) -> None:
    call = Connection.call
    thrown: list[None] = []

    async def broken(self: Connection, command: Any) -> Any:
        if command[0] == "BLPOP" and len(thrown) < 2:
            thrown.append(None)
            await call(self, command)  # the token is taken, and lost

            raise Thrown

        return await call(self, command)

    monkeypatch.setattr(Connection, "call", broken)
    await start_worker()

    for number in range(4):
        assert await (await queue.enqueue(jobs.add, number, 2)).result(5) == number + 2

    assert len(thrown) == 2
    assert is_logged(caplog)


async def test_jobs_of_a_dead_worker_come_back_although_the_reclaimer_met_an_error(
    queue: Queue,
    start_worker: Callable[..., Any],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    at_once: None,
    raw: redis.Redis,
) -> None:
    job = await queue.enqueue(jobs.add, 1, 2)
    await take(queue.store, "dead")
    thrown = throw_into(monkeypatch, Duty, "reclaim")
    await start_worker()
    await asyncio.sleep(0)
    raw.zadd(queue.store.keys.leases, {"dead": 1})
    assert await job.result(30) == 3
    assert len(thrown) == 1
    assert is_logged(caplog)


async def test_a_queue_that_is_set_aside_comes_back_although_its_healer_met_an_error(
    queue: Queue,
    start_worker: Callable[..., Any],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    await start_worker()
    assert await (await queue.enqueue(jobs.add, 1, 2)).result(10) == 3
    exchange, refused = Courier._exchange, []

    async def refuse_once(*args: Any) -> Any:
        if not refused:
            refused.append(None)
            raise ServerError("refused")

        return await exchange(*args)

    monkeypatch.setattr(Courier, "_exchange", refuse_once)
    thrown = throw_into(monkeypatch, Recovery, "_resync_route", 2)
    assert await (await queue.enqueue(jobs.add, 2, 2)).result(20) == 4
    assert len(thrown) == 2
    assert is_logged(caplog)


async def test_an_error_while_a_connection_is_made_is_one_of_connecting(
    server: Server, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async with Queue("default", server.url) as queue:
        throw_into(monkeypatch, Wire, "open", 2)
        assert await queue.count() == 0  # the third attempt
        assert is_logged(caplog)

    async with Queue("default", server.url) as queue:
        throw_into(monkeypatch, Wire, "open", 4)

        with pytest.raises(ServerUnreachable, match="Thrown"):
            await queue.count()

        assert await queue.count() == 0


async def test_durable_writes_that_failed_are_told_and_later_ones_go_on(
    own_server: Callable[..., Server], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async with Queue("default", own_server("--appendonly", "yes", "--appendfsync", "always").url) as queue:
        throw_into(monkeypatch, Fsync, "reached")

        with pytest.raises(ServerError, match="Thrown"):
            await queue.enqueue(jobs.noop, durability="fsync")

        assert is_logged(caplog)
        assert (await queue.enqueue(jobs.noop, durability="fsync")).durability is not None
