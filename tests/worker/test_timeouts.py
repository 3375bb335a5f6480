"""Timeouts, as functions and the callers of jobs see them; `test_slots.py` has the timer that serves them all."""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from aioq import Job, JobFailed, JobStatus, JobTimeoutException, Queue
from tests import jobs
from tests.tools import eventually
from tests.worker import misbehaviour as bad

notes: defaultdict[str, list[Any]] = defaultdict(list)
gates: defaultdict[str, asyncio.Event] = defaultdict(asyncio.Event)


async def times_out(queue: Queue, job: Job[Any]) -> None:
    with pytest.raises(JobFailed, match=r"JobTimeout: the run took longer than its timeout of 0\.1 seconds"):
        await job.result(10)
    assert await job.get_status() == JobStatus.FAILED
    assert await (await queue.enqueue(jobs.add, 1, 2)).result(5) == 3


@pytest.mark.parametrize(
    "function", [bad.swallow_exceptions, bad.swallow_exceptions_in_thread, bad.swallow_everything_in_thread]
)
async def test_except_exception_does_not_stop_a_timeout(
    queue: Queue, start_worker, key: str, function: Any
) -> None:
    await start_worker(concurrency=1, cancel_grace=0.2)
    job = await queue.enqueue(function, key, job_timeout=0.1)
    await times_out(queue, job)
    if function is bad.swallow_exceptions:
        assert bad.notes[key] == []
    else:  # a thread gets a JobTimeout, and after the grace what no `except Exception` catches
        await eventually(lambda: bad.notes[key] == ["RunTimedOut"])


@pytest.mark.parametrize("times", [1, 2])
async def test_a_coroutine_that_swallows_its_cancellation_has_failed(
    queue: Queue, start_worker, key: str, times: int
) -> None:
    await start_worker(concurrency=1, cancel_grace=0.2)
    job = await queue.enqueue(bad.swallow_cancellation, key, times, job_timeout=0.1)
    await times_out(queue, job)
    assert bad.notes[key] == list(range(1, times + 1))


async def test_a_coroutine_that_ignores_every_cancellation_is_given_up(
    queue: Queue, start_worker, key: str
) -> None:
    await start_worker(concurrency=1, cancel_grace=0.2)
    job = await queue.enqueue(ignore_until_the_gate, key, job_timeout=0.1)
    try:
        await times_out(queue, job)
        assert notes[key].count("canceled") >= 2
    finally:
        gates[key].set()
    await eventually(lambda: notes[key][-1] == "done")
    assert await job.get_status() == JobStatus.FAILED


async def ignore_until_the_gate(key: str) -> None:
    while not gates[key].is_set():
        try:
            await gates[key].wait()
        except asyncio.CancelledError:
            notes[key].append("canceled")
    notes[key].append("done")


async def test_a_coroutine_may_clean_up_when_its_time_is_over(queue: Queue, start_worker, key: str) -> None:
    await start_worker()
    job = await queue.enqueue(bad.clean_up, key, 0.05, job_timeout=0.1)
    await times_out(queue, job)
    assert bad.notes[key] == ["cleaned up"]


async def test_a_timeout_of_the_jobs_own_is_the_jobs_own(queue: Queue, start_worker) -> None:
    await start_worker()
    job = await queue.enqueue(bad.own_timeout, job_timeout=5)
    assert await job.result(5) == "its own"


async def test_a_timeout_is_retried_like_any_failure(queue: Queue, start_worker, key: str) -> None:
    await start_worker()
    job = await queue.enqueue(slow_at_first, key, job_timeout=0.1, retry=1)
    assert await job.result(5) == 2
    assert [each.type for each in await job.results()] == ["finished", "failed"]
    assert "JobTimeout" in (await job.results())[1].exc_info


async def slow_at_first(key: str) -> int:
    notes[key].append("run")
    if len(notes[key]) == 1:
        await asyncio.sleep(60)
    return len(notes[key])


async def test_without_a_timeout_a_job_may_take_its_time(queue: Queue, start_worker) -> None:
    await start_worker()
    job = await queue.enqueue(jobs.sleep, 0.2, job_timeout=-1)
    assert await job.result(5) == 0.2
    assert job.timeout == -1


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
