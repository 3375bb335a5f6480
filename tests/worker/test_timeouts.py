"""The timeouts of runs: one timer serves them all, and each run ends at its own moment."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from aioq import JobFailed, JobTimeoutException, Queue
from tests.tools import eventually

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
    await eventually(lambda: running.worker._service._executor.running)
    await asyncio.sleep(0.05)
    began = time.monotonic()
    await job.cancel()
    await eventually(lambda: not running.worker._service._executor.running)

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
    await eventually(lambda: not running.worker._service._executor.running)
