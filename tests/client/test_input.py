"""What a caller passes on is checked where it comes in: handles, ids and numbers, in every public call."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
import redis

from aioq import InvalidInput, Job, NoSuchJobError, Queue
from aioq.errors import InvalidJobOperation
from aioq.types import Registry
from aioq.values.errors import InvalidType
from aioq.values.serializer import Serializer
from tests import jobs

#: Ids that no job can have: they cannot be encoded, are no names, or are too long.
UNKNOWN = ["\udcff", "\ud800", "no such", "", "é", "\x00", "x" * 5000, "a\nb"]

#: No id at all.
NO_ID: list[Any] = [None, 5, b"id", 1.5, ["id"], ..., True]


@pytest.mark.parametrize("job_id", UNKNOWN, ids=ascii)
async def test_an_id_that_no_job_can_have_is_not_found(queue: Queue, job_id: str) -> None:
    assert await queue.fetch_job(job_id) is None
    assert await queue.fetch_many([job_id]) == [None]
    assert list((await queue.requeue([job_id])).values()) == ["gone"]
    assert not await queue.failed_job_registry.contains(job_id)

    for call in (Job.fetch(job_id, queue), queue.failed_job_registry.requeue(job_id)):
        with pytest.raises(NoSuchJobError):
            await call


async def test_a_bad_id_does_not_stop_the_others(queue: Queue, burst: Callable[[], Awaitable[object]]) -> None:
    job = await queue.enqueue(jobs.div_by_zero, 1)
    await burst()
    verdicts = await queue.requeue(["\udcff", job.id])

    assert list(verdicts.values()) == ["gone", "ok"]


def _calls(queue: Queue) -> list[Callable[[Any], Awaitable[object]]]:
    registry = queue.failed_job_registry

    return [
        queue.fetch_job,
        lambda each: queue.fetch_many([each]),
        lambda each: queue.requeue([each]),
        lambda each: Job.fetch(each, queue),
        lambda each: registry.requeue([each]),
        registry.contains,
        registry.remove,
    ]


@pytest.mark.parametrize("value", NO_ID, ids=repr)
async def test_what_is_no_id_is_refused_by_its_name(queue: Queue, value: Any) -> None:
    for call in _calls(queue):
        with pytest.raises(TypeError, match=r"job_id=.*expected a str"):
            await call(value)


async def test_a_handle_stands_for_its_id(queue: Queue, burst: Callable[[], Awaitable[object]]) -> None:
    job = await queue.enqueue(jobs.div_by_zero, 1)
    await burst()

    assert await queue.fetch_job(job) == job
    assert await queue.fetch_many([job, job.id]) == [job, job]
    assert await Job.fetch(job, queue) == job
    assert await queue.requeue([job, job.id]) == {job.id: "ok"}


async def test_a_handle_of_another_queue_is_not_taken_for_one_of_this(queue: Queue) -> None:
    other = Queue("other", queue.connection)
    await queue.enqueue(jobs.noop, job_id="same")
    foreign = await other.enqueue(jobs.noop, job_id="same")

    for call in (queue.fetch_job, lambda each: queue.requeue([each]), lambda each: Job.fetch(each, queue)):
        with pytest.raises(InvalidJobOperation, match="not a job of queue 'default'"):
            await call(foreign)

    assert not await queue.scheduled_job_registry.contains(foreign)


@pytest.mark.parametrize("ids", ["id", b"id", None, 5])
async def test_one_id_is_not_taken_for_many(queue: Queue, ids: Any) -> None:
    for call in (queue.fetch_many, lambda each: Job.fetch_many(each, queue)):
        with pytest.raises(InvalidType, match="expected a list of ids or jobs"):
            await call(ids)


@pytest.mark.parametrize("jobs", [b"id", None, 5])
async def test_what_is_neither_a_job_nor_several_cannot_be_requeued(queue: Queue, jobs: Any) -> None:
    for call in (queue.requeue, queue.failed_job_registry.requeue):
        with pytest.raises(InvalidType, match=r"jobs=.*: expected a job, its id, or a list of them"):
            await call(jobs)


@pytest.mark.parametrize("queue", ["redis://localhost", None, 5])
async def test_what_is_no_queue_is_refused_by_its_name(queue: Any) -> None:
    with pytest.raises(TypeError, match=r"queue: expected a Queue"):
        await Job.fetch("id", queue)


async def test_a_job_that_is_enqueued_must_be_one(queue: Queue) -> None:
    for value in ("id", None, jobs.noop):
        with pytest.raises(TypeError, match=r"job=.*expected what Job\.create returns"):
            await queue.enqueue_job(value)  # type: ignore[arg-type]


@pytest.mark.parametrize("value", [float("nan"), float("inf"), "5", None, 1.0, -1.0, True, b"5"], ids=repr)
@pytest.mark.parametrize("name", ["offset", "limit"])
async def test_a_number_that_is_none_is_refused_by_its_name(queue: Queue, name: str, value: Any) -> None:
    registry: Registry = queue.failed_job_registry

    for call in (queue.job_ids, queue.jobs, registry.job_ids, registry.jobs):
        if name == "limit" and value is None:
            assert await call(limit=None) == []
            continue

        with pytest.raises(InvalidInput, match=f"{name}=.*expected a whole number"):
            await call(**{name: value})


@pytest.mark.parametrize("value", [-1, -2, -(10**30), 10**30])
async def test_a_number_out_of_range_is_refused_by_its_name(queue: Queue, raw: redis.Redis, value: int) -> None:
    for call in (queue.job_ids, queue.jobs, queue.finished_job_registry.job_ids):
        for name in ("offset", "limit"):
            if name == "limit" and value == -1:  # RQ's word for all
                assert await call(limit=-1) == []
                continue

            with pytest.raises(InvalidInput, match=f"{name}=.*expected a whole number of at least 0"):
                await call(**{name: value})

    assert not raw.keys()


def test_a_serializer_of_one_s_own_is_refused_since_no_worker_can_read_what_it_writes() -> None:
    mine: Any = Serializer("mine", b"x", bytes, bytes)

    for make in (lambda: Queue(serializer=mine), lambda: Job.create("m.f", serializer=mine)):
        with pytest.raises(
            InvalidInput, match="serializer='mine', which no worker can read: expected one of json"
        ):
            make()


async def test_a_serializer_of_one_s_own_is_refused_by_all_queues_together(queue: Queue) -> None:
    await queue.enqueue(jobs.noop)

    with pytest.raises(InvalidInput, match="serializer='mine'"):
        await Queue.all(queue.connection, serializer=Serializer("mine", b"x", bytes, bytes))
