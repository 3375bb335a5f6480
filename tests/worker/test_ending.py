"""How runs are ended from outside: one cancel, time to clean up, one more, given up."""

from __future__ import annotations

import asyncio
import json
import logging
import threading
import time
from collections import defaultdict
from typing import Any

import pytest

from aioq import Queue
from aioq.store import Connection, Store
from aioq.values.claim import Claim
from aioq.values.outcome import Failed, Interrupted, Outcome
from aioq.values.record import JobRecord
from aioq.worker.call import Caller
from aioq.worker.ending import SECOND_CANCEL_S
from aioq.worker.run import Cause, Run
from aioq.worker.slots import Slots
from aioq.worker.threads import RunEnded
from tests.conftest import Server
from tests.tools import eventually

GRACE = 0.8

#: Clean-up that is well within the grace, also on a machine that is busy.
SHORT = 0.15

#: When the run of a key began, and heard that it was ended.
heard: defaultdict[str, list[float]] = defaultdict(list)
cleaned: set[str] = set()
released: set[str] = set()


async def cleans_up(key: str, seconds: float) -> None:
    heard[key].append(time.monotonic())

    try:
        await asyncio.sleep(60)
    except asyncio.CancelledError:
        heard[key].append(time.monotonic())

        try:
            await asyncio.sleep(seconds)
        except asyncio.CancelledError:
            heard[key].append(time.monotonic())
            raise

        cleaned.add(key)
        raise


async def never_ends(key: str, _: float) -> None:
    heard[key].append(time.monotonic())

    while not released:
        try:
            await asyncio.sleep(0.05)
        except asyncio.CancelledError:
            heard[key].append(time.monotonic())


gate = threading.Event()


def blocks_in_c(key: str) -> None:
    heard[key].append(time.monotonic())
    gate.wait(60)


def cleans_up_in_thread(key: str, seconds: float) -> None:
    heard[key].append(time.monotonic())
    deadline, ended = time.monotonic() + 60, None

    while time.monotonic() < deadline:
        try:
            time.sleep(0.002)
        except RunEnded as error:
            heard[key].append(time.monotonic())
            ended = error
            deadline = min(deadline, time.monotonic() + seconds)

    cleaned.add(key)

    if ended is not None:
        raise ended


@pytest.fixture(autouse=True)
async def _release():
    """What never ends must not go on after its test."""
    released.clear()
    yield
    released.add("all")
    others = asyncio.all_tasks() - {asyncio.current_task()}
    await eventually(lambda: not [each for each in others if "never_ends" in repr(each) and not each.done()])
    await asyncio.sleep(0.1)


class Bench:
    """Slots, and what came out of it: outcomes, and when."""

    def __init__(self, server: Server) -> None:
        self.connection = Connection(server.url)
        self.store = Store(self.connection, "default")
        self.out: dict[str, Outcome | None] = {}
        self.at: dict[str, float] = {}
        self.caller = Caller(100, 500_000)
        self.slots = Slots(100, self.caller.carry_out, self._note, GRACE)

    async def begin(self, function: Any, key: str, seconds: float = 0, **options: int) -> Run:
        fields = {
            b"func": f"{__name__}.{function.__name__}".encode(),
            b"data": b"j" + json.dumps([None, [key, seconds], {}]).encode(),
            b"opts": json.dumps(options).encode(),
        }
        run = self.slots.take(self.store, Claim(JobRecord(key, fields), 1))
        await eventually(lambda: heard[key])
        return run

    async def over(self, run: Run) -> Outcome | None:
        await eventually(lambda: run.is_over)
        return self.out[run.id]

    def _note(self, run: Run, outcome: Outcome | None) -> None:
        self.out[run.id], self.at[run.id] = outcome, time.monotonic()


@pytest.fixture
async def bench(server: Server):
    bench = Bench(server)
    yield bench
    bench.slots.close()
    await bench.caller.close()
    await bench.connection.aclose()


def close_to(found: float, expected: float) -> bool:
    """Never early; late by what a busy machine takes."""
    return expected - 0.05 <= found < expected + 3


@pytest.mark.parametrize("function", [cleans_up, cleans_up_in_thread])
@pytest.mark.parametrize("cause", list(Cause))
async def test_clean_up_within_the_grace_is_left_alone(
    bench: Bench, key: str, function: Any, cause: Cause
) -> None:
    run = await bench.begin(function, key, SHORT)
    bench.slots.end(run, cause)
    outcome = await bench.over(run)
    assert (len(heard[key]), key in cleaned) == (2, True)
    assert isinstance(outcome, {Cause.TIMEOUT: Failed, Cause.INTERRUPTED: Interrupted}.get(cause, type(None)))


@pytest.mark.parametrize("function", [cleans_up, cleans_up_in_thread])
async def test_it_is_told_once_more_after_the_grace_and_given_up_soon_after(
    bench: Bench, key: str, function: Any
) -> None:
    run = await bench.begin(function, key, 1.5)
    bench.slots.end(run, Cause.INTERRUPTED)
    assert isinstance(await bench.over(run), Interrupted)
    _, first, second = heard[key]
    assert close_to(second - first, GRACE)
    assert bench.at[key] - first < GRACE + SECOND_CANCEL_S + 3
    assert bench.slots.running == 0


async def test_what_swallows_every_cancel_is_given_up(bench: Bench, key: str) -> None:
    run = await bench.begin(never_ends, key)
    bench.slots.end(run, Cause.INTERRUPTED)
    assert isinstance(await bench.over(run), Interrupted)
    assert len(heard[key]) == 3
    assert close_to(bench.at[key] - heard[key][1], GRACE + SECOND_CANCEL_S)


@pytest.mark.parametrize("function", [cleans_up, cleans_up_in_thread])
async def test_several_ends_neither_add_up_nor_cut_each_other_off(bench: Bench, key: str, function: Any) -> None:
    run = await bench.begin(function, key, 60, timeout=50)
    await eventually(lambda: len(heard[key]) == 2)  # the timeout

    for cause in (Cause.INTERRUPTED, Cause.LOST, Cause.TIMEOUT, Cause.INTERRUPTED):
        await asyncio.sleep(GRACE / 6)
        bench.slots.end(run, cause)

    bench.slots.interrupt()
    assert await bench.over(run) is None  # the claim was lost meanwhile: that counts more than the timeout
    _, first, second = heard[key]
    assert close_to(second - first, GRACE)


async def test_a_shutdown_gives_a_cancelled_run_until_its_end(bench: Bench, key: str) -> None:
    run = await bench.begin(cleans_up, key, 1.5 * GRACE)
    bench.slots.ending.begin_shutdown(5 * GRACE)
    bench.slots.end(run, Cause.LOST)
    await bench.over(run)
    assert (len(heard[key]), key in cleaned) == (2, True)


async def test_a_shutdown_shortens_no_grace(bench: Bench, key: str) -> None:
    run = await bench.begin(cleans_up, key, SHORT)
    bench.slots.ending.begin_shutdown(0.05)
    bench.slots.end(run, Cause.LOST)
    await asyncio.sleep(0.05)
    bench.slots.interrupt()
    await bench.over(run)
    assert (len(heard[key]), key in cleaned) == (2, True)


async def test_at_its_end_or_at_a_second_signal_the_grace_is_left(bench: Bench, key: str) -> None:
    run = await bench.begin(cleans_up, key, 60)
    bench.slots.ending.begin_shutdown(60)
    bench.slots.end(run, Cause.LOST)
    await eventually(lambda: len(heard[key]) == 2)
    interrupted_at = time.monotonic()
    bench.slots.interrupt()
    assert bench.slots.ending.time_left(bench.slots.held) <= GRACE + SECOND_CANCEL_S
    await bench.over(run)
    assert close_to(heard[key][2] - interrupted_at, GRACE)


async def test_a_thread_that_is_still_blocked_is_named(
    queue: Queue, start_worker, key: str, caplog: pytest.LogCaptureFixture
) -> None:
    """`Worker.run` in an application only returns."""
    caplog.set_level(logging.WARNING, "aioq.worker")
    running = await start_worker(cancel_grace=0.1, shutdown_timeout=0.1)
    job = await queue.enqueue(blocks_in_c, key)
    await eventually(lambda: heard[key])
    running.worker.request_stop()

    try:
        await asyncio.wait_for(running.task, 10)
    finally:
        gate.set()

    (told,) = [each.getMessage() for each in caplog.records if "is still blocked" in each.getMessage()]
    assert told.startswith(f"{job.func_name} (job {job.id}) is given up after ")
    assert "its thread (AnyIO worker thread" in told
    assert f"is still blocked, at {__file__}, line {blocks_in_c.__code__.co_firstlineno + 2}. Python can" in told
    assert told.endswith("The job goes back to its queue, and begins anew on another worker")
    assert not [each for each in caplog.messages if "aioq/worker" in each]
    assert await job.get_status() == "queued"


@pytest.mark.parametrize("function", [never_ends, cleans_up_in_thread])
async def test_a_worker_whose_task_is_cancelled_gives_its_jobs_back_after_the_grace(
    queue: Queue, start_worker, key: str, function: Any
) -> None:
    running = await start_worker(cancel_grace=0.2)
    job = await queue.enqueue(function, key, 0.1)
    await eventually(lambda: heard[key])
    running.task.cancel()
    await asyncio.wait([running.task])
    assert running.task.cancelled()
    running.task = asyncio.create_task(asyncio.sleep(0))
    assert await job.get_status() == "queued"
