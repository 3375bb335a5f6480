"""A function may raise a Retry: it is run again after the pause that it asks for."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from aioq import JobFailed, Queue, Retry
from tests.client.work import notes


async def again(key: str, policy: Retry, until: int) -> str:
    notes[key].append(time.monotonic())

    if len(notes[key]) < until:
        raise policy

    return "done"


def plain_again(key: str, policy: Retry, until: int) -> str:
    notes[key].append(time.monotonic())

    if len(notes[key]) < until:
        raise policy

    return "done"


def again_apart(path: str, policy: Retry, until: int) -> str:
    with Path(path).open("a") as file:
        file.write("run\n")

    if Path(path).read_text().count("run") < until:
        try:
            raise ConnectionError("too many requests")
        except ConnectionError as error:
            raise policy from error

    return "done"


async def limited(key: str) -> str:
    notes[key].append(1)

    try:
        raise ConnectionError("too many requests")
    except ConnectionError as error:
        raise Retry(interval=0.01) from error


@pytest.mark.parametrize("function", [again, plain_again])
async def test_it_is_run_again_after_its_own_pause(queue: Queue, start_worker, key: str, function: Any) -> None:
    await start_worker()
    job = await queue.enqueue(function, key, Retry(interval=0.2), 3, retry=Retry(2, interval=600))

    assert await job.result(10) == "done"
    assert notes[key][1] - notes[key][0] >= 0.2
    assert notes[key][2] - notes[key][1] >= 0.2
    finished, *asked = await job.results()
    assert (finished.type, [run.type for run in asked]) == ("finished", ["retried", "retried"])
    assert asked[0].error_type == "aioq.errors.RetryRequested"
    assert asked[0].error_message == "the function raised a Retry in attempt 2 of 3"
    await job.refresh()
    assert (job.attempt, job.retries_left) == (3, 0)


async def test_the_number_of_attempts_is_that_of_the_job_unless_it_says_one(
    queue: Queue, burst: Callable[[], Awaitable[int]], key: str
) -> None:
    job = await queue.enqueue(again, key, Retry(), 99, retry=2)
    own = await queue.enqueue(again, f"{key} own", Retry(1), 99, retry=5)
    await burst()

    for each, runs in ((job, 3), (own, 2)):
        with pytest.raises(JobFailed, match=f"raised a Retry in attempt {runs} of {runs}, and no attempt is left"):
            await each.result(5)

    assert (len(notes[key]), len(notes[f"{key} own"])) == (3, 2)
    assert [run.type for run in await job.results()] == ["failed", "retried", "retried"]


async def test_a_function_that_asks_without_any_bound_fails_and_is_told_why(
    queue: Queue, burst: Callable[[], Awaitable[int]], key: str
) -> None:
    job = await queue.enqueue(again, key, Retry(interval=5), 9)
    await burst()

    with pytest.raises(JobFailed, match="and neither it nor the retry of the job has a max or a deadline"):
        await job.result(5)


async def test_the_error_that_led_to_it_is_kept(
    queue: Queue, burst: Callable[[], Awaitable[int]], key: str, tmp_path: Path
) -> None:
    path = str(tmp_path / "runs")
    here = await queue.enqueue(limited, key, retry=1)
    apart = await queue.enqueue(again_apart, path, Retry(2), 3, executor="process")
    await burst()
    await here.refresh()

    assert await apart.result(5) == "done"
    assert here.is_failed

    for text in (here.exc_info, (await apart.results())[1].exc_info):
        assert text is not None
        assert "ConnectionError: too many requests" in text
        assert "direct cause" in text
        assert "RetryRequested: the function raised a Retry in attempt 2 of" in text
        assert "aioq/worker" not in text


async def test_a_policy_that_every_job_raises_keeps_nothing_of_them(
    queue: Queue, burst: Callable[[], Awaitable[int]]
) -> None:
    jobs = [await queue.enqueue(raises_the_same, retry=3) for _ in range(5)]
    await burst()

    for job in jobs:
        with pytest.raises(JobFailed, match="attempt 4 of 4"):
            await job.result(5)

    assert SAME.__traceback__ is None


SAME = Retry()


async def raises_the_same() -> None:
    raise SAME
