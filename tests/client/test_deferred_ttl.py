"""How long a job may wait for those that it depends on."""

from __future__ import annotations

from typing import Any

import pytest
import redis

from aioq import Job, Queue, Worker
from aioq.errors import InvalidJobOperation, JobExpired
from aioq.values.dependency import Dependency
from aioq.values.outcome import Finished
from tests import jobs
from tests.store.tools import end, take
from tests.tools import eventually
from tests.worker.notes import note, notes

P = "aioq:{default}:"


async def expire(job: Job[Any]) -> None:
    """Wait until its time is over; reading is all that is done."""

    async def is_expired() -> bool:
        return await job.get_status() == "expired"

    await eventually(is_expired)


async def test_a_job_that_has_waited_too_long_for_others_has_expired(
    queue: Queue, raw: redis.Redis, burst, key: str
) -> None:
    parent = await queue.enqueue_in(60, note, key, "parent")
    job = await queue.enqueue(note, key, depends_on=parent, deferred_ttl=0.05, ttl=43)
    then = await queue.enqueue(note, key, "then", depends_on=Dependency(job, on_failure="run"))
    assert (job.deferred_ttl, job.ttl, job.is_deferred) == (0.05, 43, True)
    assert job.expires_at == (await queue.fetch_job(job.id)).expires_at
    assert (job.expires_at - job.created_at).total_seconds() == 0.05

    await expire(job)  # every reader sees it, whether a worker has looked or not
    assert await queue.deferred_job_registry.job_ids() == [then.id]
    assert await queue.deferred_job_registry.count() == await queue.expired_job_registry.count() == 1
    assert await queue.expired_job_registry.job_ids() == [job.id]
    assert job.ended_at == job.expires_at
    with pytest.raises(JobExpired):
        await job.result(5)
    with pytest.raises(InvalidJobOperation, match="is expired"):
        await job.cancel()

    await burst()
    assert notes[key] == ["then"]
    assert await queue.deferred_job_registry.count() == 0
    assert await queue.expired_job_registry.job_ids() == [job.id]
    assert raw.exists(P + "deferred", P + "deferred:until", P + "open:" + job.id, P + "lanes") == 0
    assert 3_590_000 < raw.pttl(f"{P}job:{job.id}") <= 3_600_000


async def test_an_idle_worker_notices_it_in_time(queue: Queue, start_worker, key: str) -> None:
    await start_worker()
    parent = await queue.enqueue_in(60, note, key, "parent")
    edge = Dependency(await queue.enqueue(note, key, depends_on=parent, deferred_ttl=0.3), on_failure="run")
    then = await queue.enqueue(note, key, "then", depends_on=edge)
    assert await then.result(5)
    assert notes[key] == ["then"]


async def test_what_a_parent_comes_to_later_means_nothing(queue: Queue, burst, key: str) -> None:
    parent = await queue.enqueue_in(60, note, key, "parent")
    made = [
        await queue.enqueue(note, key, depends_on=Dependency(parent, on_failure=policy), deferred_ttl=0.05)
        for policy in ("run", "cancel", "fail")
    ]
    for job in made:
        await expire(job)
    await parent.cancel()
    assert [await job.get_status() for job in made] == ["expired"] * 3
    await burst()
    assert notes[key] == []


async def test_a_job_that_is_released_in_time_waits_with_its_ttl(
    queue: Queue, raw: redis.Redis, burst, key: str
) -> None:
    parent = await queue.enqueue(jobs.noop)
    job = await queue.enqueue(note, key, depends_on=parent, deferred_ttl=30, ttl=43)
    later = await queue.enqueue_in(60, note, key, depends_on=parent, deferred_ttl=30)
    await parent.cancel()
    await parent.requeue()
    await Worker(queue).run(max_jobs=1)
    await job.refresh()
    await later.refresh()
    assert (job.status, later.status, later.expires_at) == ("queued", "scheduled", None)
    assert (job.expires_at - job.enqueued_at).total_seconds() == 43
    assert raw.exists(P + "deferred:until") == 0
    await burst()
    assert len(notes[key]) == 1


@pytest.mark.parametrize("seen", [False, True])
async def test_it_can_be_requeued_deleted_and_replaced(
    queue: Queue, raw: redis.Redis, burst, key: str, seen: bool
) -> None:
    parent = await queue.enqueue_in(60, note, key, "parent")
    options: dict[str, Any] = {"depends_on": parent, "deferred_ttl": 0.05}
    again, gone = [await queue.enqueue(note, key, name, **options) for name in ("again", "gone")]
    first = await queue.enqueue(note, key, "first", job_id="mine", **options)
    for job in (again, gone, first):
        await expire(job)
    if seen:
        await burst()

    second = await queue.enqueue(note, key, "second", job_id="mine", depends_on=parent, deferred_ttl=60)
    await again.requeue()  # it does not wait again
    await gone.delete()
    assert (second.status, again.status) == ("deferred", "queued")
    assert await queue.expired_job_registry.count() == 0
    assert await queue.deferred_job_registry.job_ids() == ["mine"]
    assert raw.zrange(P + "deferred:until", 0, -1) == ["mine"]
    await burst()
    assert notes[key] == ["again"]


async def test_one_that_has_run_out_when_its_parents_end_together_ends_those_that_depend_on_it(
    queue: Queue,
) -> None:
    parents = await queue.enqueue_many(Queue.prepare_data(jobs.noop) for _ in range(2))
    job = await queue.enqueue(jobs.noop, depends_on=parents, deferred_ttl=0.05)
    last = await queue.enqueue(jobs.noop, depends_on=Dependency(job, on_failure="cancel"))
    claims = await take(queue.store)
    await expire(job)
    await end(queue.store, *((each, Finished(b"p", 60_000)) for each in claims))
    assert await queue.expired_job_registry.job_ids() == [job.id]
    assert await last.get_status() == "canceled"


async def test_a_job_that_comes_back_with_its_parent_has_its_whole_time_again(queue: Queue, key: str) -> None:
    parent = await queue.enqueue_in(60, note, key, "parent")
    edge = Dependency(parent, on_failure="cancel")
    job = await queue.enqueue(note, key, depends_on=edge, deferred_ttl=43)
    before = job.expires_at
    await parent.cancel()
    await job.refresh()
    assert (job.status, job.expires_at) == ("canceled", None)
    assert await parent.requeue(dependents=True) == {job.id: "deferred"}
    await job.refresh()
    assert job.expires_at > before


async def test_without_parents_it_means_nothing(queue: Queue, raw: redis.Redis, burst, key: str) -> None:
    job = await queue.enqueue(note, key, deferred_ttl=0.05)
    assert (job.status, job.deferred_ttl, job.expires_at) == ("queued", 0.05, None)
    assert raw.exists(P + "deferred:until", P + "lanes") == 0
    await burst()
    assert len(notes[key]) == 1
    with pytest.raises(ValueError, match="deferred_ttl=0"):
        await queue.enqueue(note, key, deferred_ttl=0)
