"""Jobs of one millisecond begin in the order of their enqueue, and are listed in the order of their ends."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import redis

from aioq import Job, JobStatus, Queue
from aioq.store import Connection, Store
from aioq.values.outcome import Failed, Finished
from tests import jobs
from tests.client.work import note, notes
from tests.store.tools import end, job, take

PAST = datetime.now(UTC) - timedelta(minutes=1)


def ids_against_the_order(count: int) -> list[str]:
    """Ids whose own order is another one than that in which they stand here."""
    return [f"{(7 * number) % count:04d}" for number in range(count)]


@pytest.mark.parametrize("own_ids", [False, True])
async def test_jobs_of_one_moment_begin_in_the_order_of_their_enqueue(
    queue: Queue, burst, key: str, own_ids: bool
) -> None:
    for number, job_id in enumerate(ids_against_the_order(50)):
        options = {"job_id": job_id} if own_ids else {}
        await queue.enqueue_at(PAST, note, key, number, **options)

    listed = await queue.scheduled_job_registry.job_ids()
    await burst(concurrency=1)

    assert notes[key] == list(range(50))
    assert listed == (ids_against_the_order(50) if own_ids else listed)


async def test_a_moment_s_jobs_come_before_those_of_the_next_one(queue: Queue, burst, key: str) -> None:
    later, sooner = PAST + timedelta(milliseconds=1), PAST

    for number in range(20):
        await queue.enqueue_at(later, note, key, ("later", number), job_id=f"l{99 - number}")
        await queue.enqueue_at(sooner, note, key, ("sooner", number), job_id=f"s{99 - number}")

    await burst(concurrency=1)
    order = [(when, number) for when in ("sooner", "later") for number in range(20)]
    assert notes[key] == order


async def test_more_of_one_moment_than_there_are_places_all_begin(
    queue: Queue, raw: redis.Redis, store: Store
) -> None:
    count = 4200
    due = int((datetime.now(UTC) + timedelta(hours=1)).timestamp() * 1000)
    ids = [f"{count - number:05d}" for number in range(count)]

    for start in range(0, count, 600):
        await store.producing.enqueue_many([job(each, due=str(due)) for each in ids[start : start + 600]])

    listed, _ = await store.reads.ids(JobStatus.SCHEDULED, limit=count)
    assert listed[:4095] == ids[:4095]
    assert sorted(listed) == sorted(ids)
    scores = [score for _, score in raw.zrange("aioq:{default}:scheduled", 0, -1, withscores=True)]
    assert {int(score) for score in scores} == {due}
    await queue.delete()


@pytest.fixture
def store(connection: Connection) -> Store:
    return Store(connection, "default")


@pytest.mark.parametrize("state", ["finished", "failed"])
@pytest.mark.parametrize("kept", ["usual", "own"])
async def test_a_registry_lists_jobs_of_one_call_in_the_order_of_their_ends(
    queue: Queue, store: Store, state: str, kept: str
) -> None:
    ids = ids_against_the_order(100)
    own = {"failure_ttl": 60} if kept == "own" and state == "failed" else {}
    await queue.enqueue_many([Queue.prepare_data(jobs.noop, job_id=each, **own) for each in ids])
    claims = {each.record.id: each for each in await take(store, limit=100)}
    order = ids[::-1]
    ttl = 500_000 if kept == "usual" else 60_000
    outcome = Finished(b"pN.", ttl) if state == "finished" else Failed("boom")
    await end(store, *[(claims[each], outcome) for each in order])
    registry = queue.finished_job_registry if state == "finished" else queue.failed_job_registry

    assert await registry.job_ids() == order
    assert await registry.job_ids(desc=True) == order[::-1]
    assert await registry.job_ids(10, 5) == order[10:15]

    if state == "failed":
        assert await registry.requeue_all() == 100
        assert await queue.job_ids() == order


async def test_a_registry_lists_jobs_of_many_calls_in_the_order_of_their_ends(queue: Queue) -> None:
    made: list[Job[Any]] = [await queue.enqueue(jobs.noop, job_id=each) for each in ids_against_the_order(60)]

    for each in made[::-1]:
        await each.cancel()

    assert await queue.canceled_job_registry.job_ids() == [job.id for job in made[::-1]]
    assert await queue.canceled_job_registry.requeue_all() == 60
    assert await queue.job_ids() == [job.id for job in made[::-1]]
