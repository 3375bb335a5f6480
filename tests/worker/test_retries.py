"""Retries: which failures are retried, after which pause, and where the job waits meanwhile."""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from datetime import timedelta
from itertools import pairwise
from typing import Any

import pytest

from aioq import Job, JobFailed, JobStatus, Queue, Retry, get_current_job
from tests import jobs
from tests.tools import eventually

notes: defaultdict[str, list[Any]] = defaultdict(list)


async def fail(key: str, kind: str = "ValueError") -> None:
    notes[key].append((get_current_job().attempt, time.monotonic()))
    raise {"ValueError": ValueError, "KeyError": KeyError, "UnicodeError": UnicodeError}[kind]("on purpose")


async def _has(job: Job[Any], status: str) -> bool:
    return await job.get_status() == status


def gaps(key: str) -> list[float]:
    moments = [moment for _, moment in notes[key]]
    return [later - earlier for earlier, later in pairwise(moments)]


@pytest.mark.parametrize(
    ("retry", "expected"),
    [
        (Retry(2), [0, 0]),
        (Retry(3, interval=0.1), [0.1, 0.1, 0.1]),
        (Retry(4, interval=[0.05, 0.15]), [0.05, 0.15, 0.15, 0.15]),
        (Retry(1, interval=[0.05, 5, 5]), [0.05]),
        (Retry(3, interval=0.05, backoff=2), [0.05, 0.1, 0.2]),
        (Retry(3, interval=0.05, backoff=10, max_interval=0.1), [0.05, 0.1, 0.1]),
        (2, [0, 0]),
    ],
)
async def test_the_pauses_between_attempts(
    queue: Queue, start_worker, key: str, retry: Any, expected: list[float]
) -> None:
    await start_worker()
    job = await queue.enqueue(fail, key, retry=retry)
    with pytest.raises(JobFailed, match="on purpose"):
        await job.result(10)
    await job.refresh()
    assert [attempt for attempt, _ in notes[key]] == list(range(1, len(expected) + 2))
    for gap, least in zip(gaps(key), expected, strict=True):
        assert least - 0.005 <= gap < least + 1.5
    assert (job.attempt, job.retries_left) == (len(expected) + 1, 0)
    assert [each.type for each in await job.results()] == ["failed"] * (len(expected) + 1)


@pytest.mark.parametrize(
    ("retry", "kind", "runs"),
    [
        (Retry(2, on=ValueError), "ValueError", 3), (Retry(2, on=ValueError), "KeyError", 1),
        (Retry(2, on=[KeyError, OSError]), "KeyError", 3), (Retry(2, on=LookupError), "KeyError", 3),
        (Retry(2, on=ValueError), "UnicodeError", 3), (Retry(2, not_on=KeyError), "KeyError", 1),
        (Retry(2, not_on=KeyError), "ValueError", 3), (Retry(2, not_on=LookupError), "KeyError", 1),
        (Retry(2, on=ValueError, not_on=UnicodeError), "UnicodeError", 1),
    ],
)  # fmt: skip
async def test_only_some_exceptions_are_retried(
    queue: Queue, burst, key: str, retry: Retry, kind: str, runs: int
) -> None:
    job = await queue.enqueue(fail, key, kind, retry=retry)
    await burst()
    assert len(notes[key]) == runs
    assert await job.get_status() == JobStatus.FAILED
    assert len(await job.results()) == runs


@pytest.mark.parametrize("at_front", [False, True])
@pytest.mark.parametrize("interval", [0, 0.02])
async def test_a_retry_goes_to_the_back_or_to_the_front(
    queue: Queue, start_worker, key: str, at_front: bool, interval: float
) -> None:
    await queue.enqueue(fail_once, key, retry=Retry(1, interval=interval, at_front=at_front))
    made = [await queue.enqueue(note_after, key, number) for number in range(5)]
    await start_worker(concurrency=1)
    for job in made:
        await job.result(5)
    await eventually(lambda: len(notes[key]) == 7)
    position = notes[key].index("second")
    if at_front:
        assert position == 1 if interval == 0 else position < 4
    else:
        assert position == 6


async def fail_once(key: str) -> None:
    if get_current_job().attempt == 1:
        notes[key].append("first")
        raise ValueError("on purpose")
    notes[key].append("second")


async def note_after(key: str, value: Any) -> None:
    await asyncio.sleep(0.015)
    notes[key].append(value)


async def test_a_waiting_retry_holds_no_place(queue: Queue, start_worker, key: str) -> None:
    await start_worker(concurrency=1)
    job = await queue.enqueue(fail, key, retry=Retry(1, interval=60))
    await eventually(lambda: _has(job, "scheduled"))
    assert job.exc_info is not None
    (attempt,) = await job.results()
    assert timedelta(seconds=59) < job.scheduled_at - attempt.ended_at < timedelta(seconds=61)
    assert await (await queue.enqueue(jobs.add, 1, 2)).result(5) == 3
    assert await queue.scheduled_job_registry.job_ids() == [job.id]
