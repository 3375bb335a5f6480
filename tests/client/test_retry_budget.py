"""A queue's retry budget: a failure of many jobs is no storm of retries."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable

import pytest

from aioq import InvalidInput, Queue, Retry
from aioq.types import RetryBudget
from tests.client.work import notes
from tests.tools import eventually


async def fail(key: str) -> None:
    notes[key].append(time.monotonic())
    raise ConnectionError("the database is away")


async def test_a_storm_is_spread_and_no_job_fails_for_it(queue: Queue, start_worker, key: str) -> None:
    await queue.set_retry_budget(20, at_once=2)
    made = [await queue.enqueue(fail, key, retry=1) for _ in range(10)]
    await start_worker()
    await eventually(lambda: len(notes[key]) == 20, timeout=10)
    retries = sorted(notes[key])[10:]

    # The first two at once, and the others one by one, each 50 ms after the one before.
    assert retries[-1] - retries[1] >= 7 * 0.05

    for job in made:
        await eventually(lambda job=job: _has(job, "failed"))
        assert [run.type for run in await job.results()] == ["failed", "failed"]


async def _has(job, status: str) -> bool:
    return await job.get_status() == status


async def test_it_can_be_set_read_and_removed(queue: Queue) -> None:
    assert await queue.retry_budget() is None
    await queue.set_retry_budget(100, per="1m", at_once=20)
    assert await queue.retry_budget() == RetryBudget(100, 60.0, 20)
    await queue.set_retry_budget(100)
    assert await queue.retry_budget() == RetryBudget(100, 1.0, 100)
    await queue.set_retry_budget(None)
    assert await queue.retry_budget() is None


async def test_it_goes_with_the_queue(queue: Queue, server) -> None:
    await queue.set_retry_budget(1)
    await queue.enqueue(fail, "a", retry=1)
    await queue.delete()
    assert server.bare.exists(queue.store.keys.retry_budget) == 0


@pytest.mark.parametrize("given", [{"limit": 0}, {"limit": 1, "per": 0}, {"limit": 1, "at_once": 0}])
async def test_what_is_none_is_refused_and_nothing_is_written(queue: Queue, server, given: dict[str, int]) -> None:
    with pytest.raises(InvalidInput):
        await queue.set_retry_budget(**given)

    assert await queue.retry_budget() is None


async def test_what_is_held_back_can_be_seen_and_a_requeue_is_not_held(
    queue: Queue, burst: Callable[[], Awaitable[int]], key: str
) -> None:
    await queue.set_retry_budget(1, per="1h")
    first, second = [await queue.enqueue(fail, key, retry=Retry(1)) for _ in range(2)]
    await burst()
    await second.refresh()
    budget = await queue.retry_budget()

    assert await first.get_status() == "failed"
    assert second.is_scheduled
    assert budget is not None
    assert second.scheduled_at is not None
    assert budget.next_at is not None
    assert budget.next_at > second.scheduled_at
    await queue.requeue(first)
    assert await first.get_status() == "queued"
