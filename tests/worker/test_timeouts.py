"""The timeouts of runs: one timer serves them all, and each run ends at its own moment."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from aioq import JobFailed, JobTimeoutException, Queue
from aioq.store import Connection, Store
from aioq.values.claim import Claim
from aioq.values.outcome import Failed, Finished, Outcome
from aioq.values.record import JobRecord
from aioq.worker.executor import Executor
from aioq.worker.run import Run
from tests.conftest import Server
from tests.tools import eventually


class Bench:
    """An executor, and what came out of it: outcomes, and after how many seconds."""

    def __init__(self, server: Server) -> None:
        self.connection = Connection(server.url)
        self.store = Store(self.connection, "default")
        self.ended: dict[str, tuple[Outcome | None, float]] = {}
        self.executor = Executor(100, 500_000, self._note)
        self._start = time.monotonic()

    def take(self, name: str, seconds: float, timeout_ms: int) -> Run:
        data = b"j[null,[%f],{}]" % seconds
        fields = {b"func": b"asyncio.sleep", b"data": data, b"opts": b'{"timeout":%d}' % timeout_ms}

        return self.executor.take(self.store, Claim(JobRecord(name, fields), 1))

    def _note(self, run: Run, outcome: Outcome | None) -> None:
        self.ended[run.id] = (outcome, time.monotonic() - self._start)


@pytest.fixture
async def bench(server: Server):
    bench = Bench(server)
    yield bench
    await bench.executor.close()
    await bench.connection.aclose()


async def test_each_run_ends_at_its_own_moment_in_whatever_order_they_began(bench: Bench) -> None:
    for name, timeout_ms in (("late", 600), ("early", 100), ("middle", 300), ("early too", 100)):
        bench.take(name, 60, timeout_ms)

    bench.take("quick", 0.01, 200)
    bench.take("endless", 0.5, -1)
    await eventually(lambda: len(bench.ended) == 6)

    for name, timeout in (("late", 0.6), ("early", 0.1), ("middle", 0.3), ("early too", 0.1)):
        outcome, took = bench.ended[name]
        assert isinstance(outcome, Failed)
        assert f"timeout of {timeout:g} seconds" in outcome.error
        assert took >= timeout - 0.01

    assert list(bench.ended)[-1] == "late"
    assert isinstance(bench.ended["quick"][0], Finished)
    assert isinstance(bench.ended["endless"][0], Finished)


async def test_a_run_that_comes_after_the_last_alarm_has_one_of_its_own(bench: Bench) -> None:
    for name in ("first", "second"):
        bench.take(name, 60, 50)
        await eventually(lambda name=name: name in bench.ended)
        assert isinstance(bench.ended[name][0], Failed)


async def test_runs_that_end_in_time_leave_one_timer(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    loop, set_for = asyncio.get_running_loop(), []
    call_at = loop.call_at
    monkeypatch.setattr(
        loop, "call_at", lambda when, *rest, **more: set_for.append(when) or call_at(when, *rest, **more)
    )

    for number in range(50):
        bench.take(f"j{number}", 0, 180_000)

    await eventually(lambda: len(bench.ended) == 50)
    assert len([when for when in set_for if when - loop.time() > 170]) == 1


# What a plain function hears of it

caught: list[str] = []


def handles_its_timeout() -> str:
    try:
        while True:
            time.sleep(0.001)
    except JobTimeoutException as error:
        caught.append(str(error))

    return "in time"


def goes_on_after_any_exception() -> None:
    while True:
        try:
            time.sleep(0.001)
        except Exception as error:
            caught.append(type(error).__name__)


async def test_a_handler_of_the_timeout_runs_and_the_run_has_timed_out_all_the_same(
    queue: Queue, start_worker: Callable[..., Awaitable[object]]
) -> None:
    caught.clear()
    await start_worker()
    job = await queue.enqueue(handles_its_timeout, job_timeout=0.1)

    with pytest.raises(JobFailed, match=r"timeout of 0\.1 seconds"):
        await job.result(timeout=10)

    assert caught == ["the run took longer than its timeout"]


async def test_a_cancel_is_no_exception_that_except_exception_catches(
    queue: Queue, start_worker: Callable[..., Awaitable[object]]
) -> None:
    caught.clear()
    running: Any = await start_worker(cancel_grace=5)
    job = await queue.enqueue(goes_on_after_any_exception)
    await eventually(lambda: running.worker._service.slots.running)
    await asyncio.sleep(0.05)
    began = time.monotonic()
    await job.cancel()
    await eventually(lambda: not running.worker._service.slots.running)

    assert (caught, time.monotonic() - began < 3) == ([], True)


async def test_who_catches_every_exception_is_ended_for_good_after_the_grace(
    queue: Queue, start_worker: Callable[..., Awaitable[object]]
) -> None:
    caught.clear()
    running: Any = await start_worker(cancel_grace=0.2)
    job = await queue.enqueue(goes_on_after_any_exception, job_timeout=0.1)

    with pytest.raises(JobFailed, match=r"timeout of 0\.1 seconds"):
        await job.result(timeout=10)

    assert caught == ["RunTimedOut"]
    await eventually(lambda: not running.worker._service.slots.running)
