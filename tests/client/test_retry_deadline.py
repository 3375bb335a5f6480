"""The deadline over all attempts, and what is left of them in each case."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from datetime import timedelta

import pytest

from aioq import InvalidInput, JobFailed, Queue, Retry
from tests.client.work import notes
from tests.tools import eventually


async def fail(key: str) -> None:
    notes[key].append(time.monotonic())
    raise ConnectionError("the database is away")


async def fail_in_a_group(*kinds: str) -> None:
    errors = {"os": OSError(), "connection": ConnectionError(), "value": ValueError()}
    raise ExceptionGroup("several", [errors[kind] for kind in kinds])


def fail_in_a_group_apart(*kinds: str) -> None:
    errors = {"os": OSError(), "connection": ConnectionError(), "value": ValueError()}
    raise ExceptionGroup("several", [errors[kind] for kind in kinds])


async def ask(key: str, **bounds: float) -> None:
    notes[key].append(time.monotonic())
    raise Retry(interval=0.4, **bounds)


async def test_no_attempt_begins_after_it(queue: Queue, start_worker, key: str) -> None:
    await start_worker()
    job = await queue.enqueue(fail, key, retry=Retry(interval=0.3, within=1))

    with pytest.raises(JobFailed, match="the database is away"):
        await job.result(10)

    assert 2 <= len(notes[key]) <= 4  # the fourth begins after 0.9 s, at the earliest
    await job.refresh()
    assert (job.attempt, job.retries_left) == (len(notes[key]), 0)
    results = await job.results()
    assert {run.type for run in results} == {"failed"}
    starts = [run.started_at for run in results if run.started_at is not None]
    assert len(starts) == len(notes[key])
    assert max(starts) - min(starts) <= timedelta(seconds=1)


@pytest.mark.parametrize("bounds", [{}, {"within": 1}, {"max": 9, "within": 1}])
async def test_it_holds_for_attempts_that_a_function_asks_for(
    queue: Queue, start_worker, key: str, bounds: dict[str, float]
) -> None:
    await start_worker()
    own = None if "within" in bounds else Retry(within=1)
    job = await queue.enqueue(ask, key, retry=own, **bounds)

    with pytest.raises(JobFailed, match="after the deadline"):
        await job.result(10)

    assert 2 <= len(notes[key]) <= 3


async def test_a_turn_that_comes_too_late_is_not_taken(queue: Queue, start_worker, key: str) -> None:
    await start_worker()
    job = await queue.enqueue(fail, key, retry=Retry(5, interval=0.5, within=1))
    await eventually(lambda: len(notes[key]) == 1)
    await queue.pause()
    await eventually(lambda: _has(job, "scheduled"))
    await asyncio.sleep(1.1)
    runs = len(notes[key])
    await queue.resume()

    with pytest.raises(JobFailed, match="the database is away"):
        await job.result(10)

    await job.refresh()
    assert len(notes[key]) == runs
    assert (job.is_failed, job.retries_left) == (True, 0)
    assert job.exc_info is not None
    assert job.exc_info.endswith("its turn came after the deadline of its Retry, so it was not run again")
    assert [run.type for run in await job.results()] == ["failed"] * (runs + 1)
    assert (await job.results())[0].started_at is None


async def _has(job, status: str) -> bool:
    return await job.get_status() == status


async def test_a_requeue_begins_it_anew(queue: Queue, burst: Callable[[], Awaitable[int]], key: str) -> None:
    job = await queue.enqueue(fail, key, retry=Retry(1, within=0.5))
    await burst()
    assert len(notes[key]) == 2
    await asyncio.sleep(0.6)
    await job.requeue()
    assert job.retries_left == 1
    await burst()
    assert len(notes[key]) == 4
    await job.requeue(reset_retries=False)
    assert job.retries_left == 0
    await burst()
    assert len(notes[key]) == 5


async def test_what_is_left_in_each_case(queue: Queue, burst: Callable[[], Awaitable[int]], key: str) -> None:
    unlimited = await queue.enqueue(fail, key, retry=Retry(interval=60, within="1h"))
    both = await queue.enqueue(fail, key, retry=Retry(5, interval=60, within="1h"))
    far = await queue.enqueue(fail, key, retry=Retry(5, interval=60, within=30))
    other = await queue.enqueue(fail, key, retry=Retry(5, within="1h", not_on=OSError))
    assert [each.retries_left for each in (unlimited, both, far, other)] == [None, 5, 5, 5]
    await burst()

    for job in (unlimited, both, far, other):
        await job.refresh()

    assert [str(each.status) for each in (unlimited, both, far, other)] == [
        "scheduled",
        "scheduled",
        "failed",
        "failed",
    ]
    assert [each.retries_left for each in (unlimited, both, far, other)] == [None, 4, 0, 4]


async def test_a_policy_without_an_end_is_refused_and_nothing_is_written(queue: Queue, key: str) -> None:
    with pytest.raises(InvalidInput, match="it has no end for a job that always raises"):
        await queue.enqueue(fail, key, retry=Retry(interval=5))

    assert await queue.count() == 0


@pytest.mark.parametrize("function", [fail_in_a_group, fail_in_a_group_apart])
async def test_a_group_is_judged_by_its_members(
    queue: Queue, burst: Callable[[], Awaitable[int]], function
) -> None:
    apart = {"executor": "process"} if function is fail_in_a_group_apart else {}
    cases = [
        (Retry(1, on=OSError), ["os", "connection"], 2),
        (Retry(1, on=OSError), ["os", "value"], 1),
        (Retry(1, not_on=ConnectionError), ["os", "connection"], 1),
        (Retry(1, not_on=ConnectionError), ["os", "value"], 2),
    ]
    made = [await queue.enqueue(function, *kinds, retry=retry, **apart) for retry, kinds, _ in cases]
    await burst()

    for job, (_, _, runs) in zip(made, cases, strict=True):
        await job.refresh()
        assert (str(job.status), job.attempt) == ("failed", runs)
