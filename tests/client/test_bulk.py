"""What is done to many jobs, chunk by chunk."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest

from aioq import JobStatus, Queue
from aioq.client import bulk
from aioq.client.share import Share
from tests import jobs

Burst = Callable[[], Awaitable[object]]


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bulk, "CHUNK", 2)


async def failed(queue: Queue, burst: Burst, *ids: str) -> None:
    for each in ids:
        await queue.enqueue(jobs.div_by_zero, 1, job_id=each)

    await burst()


async def test_all_jobs_of_a_state_are_requeued_in_chunks_each_with_its_verdict(
    queue: Queue, burst: Burst
) -> None:
    await failed(queue, burst, "a", "b", "c")
    chunks = [
        dict(chunk) async for chunk in bulk.requeue_all(queue.store, JobStatus.FAILED, at_front=False, reset=True)
    ]

    assert len(chunks) > 1
    assert chunks[0] | chunks[1] == {"a": "ok", "b": "ok", "c": "ok"}
    assert await queue.count() == 3


async def test_a_job_that_fails_again_meanwhile_is_left(queue: Queue, burst: Burst) -> None:
    await failed(queue, burst, "a", "b", "c")
    moved: list[str] = []

    async for chunk in bulk.requeue_all(queue.store, JobStatus.FAILED, at_front=False, reset=True):
        moved += [job_id for job_id, _ in chunk]
        await burst()

    assert sorted(moved) == ["a", "b", "c"]
    assert await queue.failed_job_registry.count() == 3


async def test_all_jobs_of_a_state_are_deleted_and_no_others(queue: Queue, burst: Burst) -> None:
    await failed(queue, burst, "a", "b", "c")
    await queue.enqueue(jobs.noop, job_id="d")

    assert await bulk.delete_all(queue.store, JobStatus.FAILED) == 3
    assert await queue.failed_job_registry.count() == 0
    assert await queue.job_ids() == ["d"]


async def test_several_are_requeued_once_each_in_their_order(queue: Queue, burst: Burst) -> None:
    await failed(queue, burst, "a", "b", "c")
    verdicts = await bulk.requeue(queue.store, ["c", "a", "c", "gone", "b"], at_front=False, reset=True)

    assert verdicts == {"c": "ok", "a": "ok", "gone": "gone", "b": "ok"}
    assert list(verdicts) == ["c", "a", "gone", "b"]


async def test_a_shared_connection_is_closed_with_the_last_of_its_users() -> None:
    closed: list[str] = []

    class Closing:
        async def aclose(self) -> None:
            closed.append("closed")

    class User:
        pass

    first, second = User(), User()
    share = Share(Closing(), first, second)  # type: ignore[arg-type]
    await share.leave(first)
    assert closed == []
    await share.leave(second)
    assert closed == ["closed"]
