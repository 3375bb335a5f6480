"""The registries of a queue: what they hold, in which order, and that reading them changes nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import redis

from aioq import Job, JobFailed, JobStatus, NoSuchJobError, Queue
from aioq.client.endings import ENDINGS
from aioq.errors import InvalidJobOperation
from aioq.types import Registry
from aioq.values.states import allows
from tests import jobs
from tests.client.work import gates, hold, note, note_and_fail, notes
from tests.conftest import Server
from tests.tools import eventually

REGISTRIES = tuple(state.value for state in JobStatus if state != JobStatus.QUEUED)
REQUEUEABLE = tuple(state.value for state in JobStatus if allows(state, "requeue"))
EXPIRES = 0.5  # seconds; a requeued job has as long again
FINAL = tuple(state.value for state in JobStatus if state.is_final)

Make = Callable[[str, int], Awaitable[list[Job[Any]]]]


def registry_of(queue: Queue, state: str) -> Registry:
    return getattr(queue, f"{state}_job_registry")


def test_every_state_has_its_names() -> None:
    """What users spell stands written out: properties have types and docstrings of their own."""
    for state in JobStatus:
        assert isinstance(getattr(Job, f"is_{state}"), property)

    assert {name for name in dir(Queue) if name.endswith("_job_registry")} == {
        f"{state}_job_registry" for state in REGISTRIES
    }
    assert {*ENDINGS, JobStatus.FINISHED} == set(FINAL), "what result() raises"


def dump(server: Server) -> dict[bytes, tuple[Any, int]]:
    """Every key with its content and the moment when it goes; but for what a worker's heartbeat renews."""
    with redis.Redis.from_url(server.url) as client:
        return {
            name: (client.dump(name), client.pexpiretime(name))
            for name in client.scan_iter()
            if b":worker:" not in name and b":leases" not in name
        }


@pytest.fixture
async def make(queue: Queue, start_worker, key: str) -> Make:
    """Makes jobs in a state, one after the other, some milliseconds apart."""

    async def make(state: str, count: int) -> list[Job[Any]]:
        made = []
        if state in ("started", "stopped", "finished", "failed"):
            await start_worker()
        for number in range(count):
            made.append(await one(state, number))
            await asyncio.sleep(0.003)
        for job in made:
            await eventually(lambda job=job: _is(job, state))
            await job.refresh()
            assert job.status == state
        return made

    async def one(state: str, number: int) -> Job[Any]:
        if state == "deferred":
            async with Queue("before", queue.connection) as before:
                return await queue.enqueue(jobs.noop, depends_on=await before.enqueue_in(100, jobs.noop))
        if state == "scheduled":
            return await queue.enqueue_in(100 + number, jobs.noop)
        if state == "expired":
            return await queue.enqueue(jobs.noop, ttl=EXPIRES)
        if state == "canceled":
            job = await queue.enqueue(jobs.noop)
            await job.cancel()
        elif state in ("started", "stopped"):
            job = await queue.enqueue(hold, f"{key}-{number}")
            await eventually(lambda: notes[f"{key}-{number}"])
            if state == "stopped":
                await job.stop()
        else:
            job = await queue.enqueue(note if state == "finished" else note_and_fail, key, number)
        await eventually(lambda: _is(job, state))
        return job

    return make


async def _is(job: Job[Any], state: str) -> bool:
    return await job.get_status() == state


@pytest.mark.parametrize("state", REGISTRIES)
async def test_it_holds_the_jobs_of_its_state_and_no_others(queue: Queue, make: Make, state: str) -> None:
    for other in REGISTRIES:
        registry = registry_of(queue, other)
        assert (await registry.count(), await registry.job_ids(), await registry.jobs()) == (0, [], [])

    made = await make(state, 3)
    for other in REGISTRIES:
        registry = registry_of(queue, other)
        assert registry.status == other
        mine = other == state
        assert await registry.count() == (3 if mine else 0)
        assert await registry.job_ids() == ([job.id for job in made] if mine else [])
        assert await registry.jobs() == (made if mine else [])
        assert await registry.contains(made[0]) is mine
        assert await registry.contains(made[0].id) is mine
        assert not await registry.contains("unknown")
    assert await queue.count() == 0
    assert await queue.job_ids() == []


@pytest.mark.parametrize("state", REGISTRIES)
async def test_it_is_ordered_by_time_and_read_in_parts(queue: Queue, make: Make, state: str) -> None:
    ids = [job.id for job in await make(state, 5)]
    registry = registry_of(queue, state)
    assert await registry.job_ids() == ids
    assert await registry.job_ids(desc=True) == ids[::-1]
    assert await registry.job_ids(1, 2) == ids[1:3]
    assert await registry.job_ids(1, 2, desc=True) == ids[::-1][1:3]
    assert await registry.job_ids(4, 10) == ids[4:]
    assert await registry.job_ids(5) == []
    assert await registry.job_ids(0, 0) == []
    assert [job.id for job in await registry.jobs(1, 3, desc=True)] == ids[::-1][1:4]
    snapshots = await registry.jobs()
    assert {job.status for job in snapshots} == {state}
    assert [job.id for job in snapshots] == ids


async def test_scheduled_jobs_are_ordered_by_when_they_are_due(queue: Queue) -> None:
    now = datetime.now(UTC)
    made = [await queue.enqueue_at(now + timedelta(hours=hours), jobs.noop) for hours in (3, 1, 2)]
    assert await queue.scheduled_job_registry.job_ids() == [made[number].id for number in (1, 2, 0)]


async def test_started_jobs_are_ordered_by_when_they_were_started(queue: Queue, start_worker, key: str) -> None:
    await start_worker()
    first = await queue.enqueue(hold, key)
    await eventually(lambda: len(notes[key]) == 1)
    await asyncio.sleep(0.005)
    second = await queue.enqueue(hold, key, at_front=True)
    await eventually(lambda: len(notes[key]) == 2)
    assert await queue.started_job_registry.job_ids() == [first.id, second.id]


@pytest.mark.parametrize("state", REGISTRIES)
async def test_reading_it_changes_nothing(queue: Queue, make: Make, server: Server, state: str) -> None:
    made = await make(state, 3)
    if state in ("started", "stopped", "finished", "failed"):
        await asyncio.sleep(0.1)  # the worker has said what it has to say
    before = dump(server)
    registry = registry_of(queue, state)
    for _ in range(2):
        await registry.count()
        await registry.job_ids()
        await registry.job_ids(desc=True)
        await registry.jobs()
        await registry.contains(made[0])
        await registry.contains("unknown")
        await made[0].refresh()
        await made[0].results()
        await made[0].get_position()
        await made[0].get_meta()
        await queue.fetch_job(made[0].id)
        await queue.fetch_many([job.id for job in made])
        await queue.count()
        await queue.job_ids()
        await queue.jobs()
        await queue.is_paused()
        await Queue.all(queue.connection)
        if state in FINAL:
            with suppress(JobFailed):
                await made[0].result(1)
    assert dump(server) == before


@pytest.mark.parametrize("state", REQUEUEABLE)
async def test_its_jobs_can_be_requeued(queue: Queue, make: Make, state: str) -> None:
    made = await make(state, 4)
    await queue.pause()
    registry = registry_of(queue, state)
    requeued = await registry.requeue(made[1])
    assert requeued.is_queued
    assert await queue.job_ids() == [made[1].id]
    assert await registry.requeue_all(at_front=True) == 3
    assert await registry.count() == 0
    assert set(await queue.job_ids()) == {job.id for job in made}
    assert (await queue.job_ids())[3] == made[1].id


@pytest.mark.parametrize("state", ["scheduled", "started", "finished"])
async def test_other_jobs_cannot_be_requeued(queue: Queue, make: Make, state: str) -> None:
    (job,) = await make(state, 1)
    registry = registry_of(queue, state)
    with pytest.raises(InvalidJobOperation, match=f"is {state}"):
        await registry.requeue(job)
    with pytest.raises(InvalidJobOperation, match=f"{state} jobs cannot be requeued"):
        await registry.requeue_all()
    assert await job.get_status() == state


@pytest.mark.parametrize("state", REGISTRIES)
async def test_a_job_of_another_state_is_refused(queue: Queue, state: str) -> None:
    job = await queue.enqueue(jobs.noop)
    registry = registry_of(queue, state)
    for refused in (registry.requeue, registry.remove):
        with pytest.raises(InvalidJobOperation, match=f"is queued, not {state}"):
            await refused(job)
        with pytest.raises(NoSuchJobError, match="nope"):
            await refused("nope")
    assert await queue.job_ids() == [job.id]


@pytest.mark.parametrize("state", FINAL)
@pytest.mark.parametrize("delete_job", [False, True])
async def test_an_ended_job_that_is_removed_is_deleted(
    queue: Queue, make: Make, raw: redis.Redis, state: str, delete_job: bool
) -> None:
    removed, kept = await make(state, 2)
    registry = registry_of(queue, state)
    await registry.remove(removed, delete_job=delete_job)
    assert await registry.job_ids() == [kept.id]
    assert raw.keys(f"*:{removed.id}") == []
    assert await queue.fetch_job(removed.id) is None


@pytest.mark.parametrize("state", ["scheduled", "started"])
async def test_a_live_job_that_is_removed_is_canceled(queue: Queue, make: Make, state: str) -> None:
    removed, kept = await make(state, 2)
    registry = registry_of(queue, state)
    await registry.remove(removed.id)
    assert await registry.job_ids() == [kept.id]
    assert await removed.get_status() == JobStatus.CANCELED
    await registry.remove(kept, delete_job=True)
    assert await queue.fetch_job(kept.id) is None
    assert await registry.count() == 0


async def test_a_job_of_another_queue_is_not_taken_for_one_with_the_same_id(
    queue: Queue, server: Server, burst
) -> None:
    async with Queue("other", server.url) as other:
        mine = await queue.enqueue(jobs.div_by_zero, 1, job_id="same")
        foreign = await other.enqueue(jobs.div_by_zero, 2, job_id="same")
        await burst("default", "other")
        registry = queue.failed_job_registry
        assert mine != foreign
        assert await registry.contains(mine)
        assert not await registry.contains(foreign)
        for refused in (registry.requeue, registry.remove):
            with pytest.raises(InvalidJobOperation, match="not a job of queue 'default'"):
                await refused(foreign)
        assert await registry.count() == 1
        assert await other.failed_job_registry.count() == 1


async def test_thousands_are_read_in_pages(queue: Queue, burst) -> None:
    await queue.enqueue_many(Queue.prepare_data(jobs.noop) for _ in range(2300))
    await burst()
    registry = queue.finished_job_registry
    ids = await registry.job_ids()
    assert len(set(ids)) == 2300 == await registry.count()
    assert await registry.job_ids(limit=-1) == await registry.job_ids(limit=None) == ids
    assert await registry.job_ids(limit=1700) == ids[:1700]
    assert [await registry.job_ids(start, 700) for start in range(0, 2300, 700)] == [
        ids[start : start + 700] for start in range(0, 2300, 700)
    ]
    assert await registry.job_ids(limit=5000, desc=True) == ids[::-1]
    assert [job.id for job in await registry.jobs()] == ids
    assert [job.id for job in await registry.jobs(590, -1, desc=True)] == ids[::-1][590:]
    assert [job.id for job in await registry.jobs(limit=620)] == ids[:620]


async def test_the_jobs_whose_code_is_gone_can_be_listed_and_requeued(
    queue: Queue, raw: redis.Redis, burst
) -> None:
    job = await queue.enqueue(jobs.div_by_zero, 1)
    await burst()
    raw.hset(f"aioq:{{default}}:job:{job.id}", mapping={"func": "no.such.thing", "data": "?damaged", "opts": "{"})
    (listed,) = await queue.failed_job_registry.jobs()
    assert listed == job
    assert listed.description == "no.such.thing(…)"
    assert "no.such.thing" in repr(listed)
    assert (listed.timeout, listed.retries_left, listed.meta) == (180, 0, {})
    await queue.failed_job_registry.requeue(listed)
    assert await queue.job_ids() == [job.id]


async def test_an_open_gate_leaves_nothing_started(queue: Queue, make: Make, key: str) -> None:
    made = await make("started", 3)
    for number in range(3):
        gates[f"{key}-{number}"].set()
    for job in made:
        await job.result(5)
    assert await queue.started_job_registry.count() == 0
    assert await queue.finished_job_registry.count() == 3
