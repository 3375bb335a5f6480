"""A function that returns a Retry is run again, wherever it runs."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from aioq import JobFailed, Queue, Retry
from tests.client.work import notes

NAME = "tests.client.test_returned_retry"


async def again(key: str, policy: Retry, until: int) -> str | Retry:
    notes[key].append(time.monotonic())
    return "done" if len(notes[key]) >= until else policy


def plain_again(key: str, policy: Retry, until: int) -> str | Retry:
    notes[key].append(time.monotonic())
    return "done" if len(notes[key]) >= until else policy


def again_apart(path: str, policy: Retry, until: int) -> str | Retry:
    with Path(path).open("a") as file:
        file.write("run\n")
    return "done" if Path(path).read_text().count("run") >= until else policy


async def later(key: str, policy: Retry) -> Retry:
    notes[key].append(1)
    await asyncio.sleep(0)
    return policy


@pytest.mark.parametrize("function", [again, plain_again])
async def test_it_runs_again_until_it_returns_something_else(
    queue: Queue, burst: Callable[[], Awaitable[int]], key: str, function: Any
) -> None:
    job = await queue.enqueue(function, key, Retry(5), 3)
    await burst()

    assert await job.result(5) == "done"
    assert [run.type for run in await job.results()] == ["finished", "retried", "retried"]
    assert [str(run.exc_info).strip() for run in (await job.results())[1:]] == [
        f"aioq.errors.RetryRequested: the function returned a Retry in attempt {attempt} of 6"
        for attempt in (2, 1)
    ]


async def test_a_function_in_a_process_of_its_own_does_as_well(
    queue: Queue, burst: Callable[[], Awaitable[int]], tmp_path: Path
) -> None:
    path = tmp_path / "runs"
    policy = Retry(5, [0, 0.01], backoff=2, jitter="full", max_interval=1, at_front=True)
    job = await queue.enqueue(again_apart, str(path), policy, 2, executor="process")
    short = await queue.enqueue(again_apart, f"{path}.short", Retry(1), 9, executor="process")
    await burst()

    assert await job.result(5) == "done"

    with pytest.raises(JobFailed, match=r"returned a Retry in attempt 2 of 2, and no attempt is left"):
        await short.result(5)


@pytest.mark.parametrize("function", [again, plain_again])
async def test_a_job_without_an_attempt_left_has_failed_and_says_so(
    queue: Queue, burst: Callable[[], Awaitable[int]], key: str, function: Any
) -> None:
    job = await queue.enqueue(function, key, Retry(1), 9)
    await burst()

    with pytest.raises(JobFailed, match=r"returned a Retry in attempt 2 of 2, and no attempt is left"):
        await job.result(5)
    assert len(notes[key]) == 2
    assert await queue.failed_job_registry.contains(job)


async def test_the_pause_is_that_of_the_returned_policy(queue: Queue, start_worker, key: str) -> None:
    await start_worker()
    job = await queue.enqueue(again, key, Retry(2, interval=0.2), 2)

    assert await job.result(10) == "done"
    assert notes[key][1] - notes[key][0] >= 0.2


async def test_it_goes_before_the_policy_of_the_job_and_holds_for_any_kind_of_error(
    queue: Queue, burst: Callable[[], Awaitable[int]], key: str
) -> None:
    job = await queue.enqueue(later, key, Retry(3, on=OSError, not_on=ValueError), retry=1)
    await burst()

    with pytest.raises(JobFailed, match="in attempt 4 of 4"):
        await job.result(5)
    assert len(notes[key]) == 4


async def test_a_retry_inside_of_a_value_is_a_value(queue: Queue, burst: Callable[[], Awaitable[int]]) -> None:
    job = await queue.enqueue(listed)
    await burst()

    assert await job.result(5) == [Retry(3)]


def listed() -> list[Retry]:
    return [Retry(3)]
