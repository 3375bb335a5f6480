"""A new job takes the id of one that is gone. Its dependents are others than those of that one."""

from __future__ import annotations

import pytest

from aioq import Dependency, Queue, Worker, current_job
from tests import jobs
from tests.client.test_dependencies import states

MANY = 500  # more than one script decides by itself


async def work(queue: Queue, count: int) -> None:
    await Worker(queue, concurrency=1).run(burst=True, max_jobs=count)


@pytest.mark.parametrize("waiting", [1, MANY])
async def test_of_a_failed_job_whose_dependents_wait(queue: Queue, burst, waiting: int) -> None:
    await queue.enqueue(jobs.div_by_zero, 1, job_id="same", failure_ttl=60)
    old = await queue.enqueue_many(Queue.prepare_data(jobs.noop, depends_on="same") for _ in range(waiting))
    await burst()
    new = await queue.enqueue_many(
        [Queue.prepare_data(jobs.noop, job_id="same"), Queue.prepare_data(jobs.noop, depends_on="same")]
    )
    await queue.enqueue_many([Queue.prepare_data(jobs.noop, depends_on="same")])
    assert set(await states(*old)) == {"canceled"}
    assert await states(*new) == ["queued", "deferred"]
    await burst()
    assert await states(*new) == ["finished", "finished"]
    assert set(await states(*old)) == {"canceled"}
    assert await queue.deferred_job_registry.count() == 0


@pytest.mark.parametrize(("function", "becomes"), [(jobs.noop, "finished"), (jobs.div_by_zero, "canceled")])
async def test_in_the_call_that_brings_dependents_of_both(queue: Queue, burst, function, becomes: str) -> None:
    await queue.enqueue(function, *((1,) if function is jobs.div_by_zero else ()), job_id="same", failure_ttl=60)
    await burst()
    before, new, after = await queue.enqueue_many(
        [
            Queue.prepare_data(jobs.noop, depends_on="same"),
            Queue.prepare_data(jobs.noop, job_id="same"),
            Queue.prepare_data(jobs.noop, depends_on="same"),
        ]
    )
    assert await states(new, after) == ["queued", "deferred"]
    await burst()
    assert await states(before, new, after) == [becomes, "finished", "finished"]


async def test_a_dependent_that_ends_by_it_ends_those_that_depend_on_it(queue: Queue, burst) -> None:
    """What was known of it before in the same call is known no more."""
    await queue.enqueue(jobs.div_by_zero, 1, job_id="same", failure_ttl=60)
    middle = await queue.enqueue(jobs.noop, depends_on="same")
    await burst()
    before, new, after = await queue.enqueue_many(
        [
            Queue.prepare_data(jobs.noop, depends_on=Dependency(middle, on_failure="cancel")),
            Queue.prepare_data(jobs.noop, job_id="same"),
            Queue.prepare_data(jobs.noop, depends_on=Dependency(middle, on_failure="cancel")),
        ]
    )
    assert await states(before, middle, new, after) == ["canceled", "canceled", "queued", "canceled"]


@pytest.mark.parametrize("way", ["delete", "finish"])
async def test_of_one_whose_dependents_are_decided_later(queue: Queue, burst, way: str) -> None:
    first = await queue.enqueue(jobs.noop, job_id="same", result_ttl=0)
    old = await queue.enqueue_many(Queue.prepare_data(jobs.noop, depends_on="same") for _ in range(2 * MANY))

    if way == "delete":
        await first.delete()
    else:
        await work(queue, 1)

    new = await queue.enqueue(jobs.noop, job_id="same")
    after = await queue.enqueue(jobs.noop, depends_on="same")
    assert await states(new, after) == ["queued", "deferred"]
    assert await queue.deferred_job_registry.count() == 1
    await burst()
    assert await states(new, after) == ["finished", "finished"]
    assert set(await states(*old)) == {"canceled" if way == "delete" else "finished"}


async def add_two() -> None:
    job = current_job()
    await job.add_child(jobs.noop)
    await job.add_child(jobs.noop)


async def test_of_one_whose_children_have_not_ended(queue: Queue, burst) -> None:
    await queue.enqueue(add_two, job_id="same", result_ttl=0)
    await work(queue, 1)
    new = await queue.enqueue(jobs.noop, job_id="same")
    after = await queue.enqueue(jobs.noop, depends_on="same")
    await work(queue, 2)
    assert await states(new, after) == ["queued", "deferred"]
    await burst()
    assert await states(new, after) == ["finished", "finished"]
