"""Jobs that depend on one another and are enqueued in one call."""

from __future__ import annotations

from typing import Any

import pytest

import aioq.sync
from aioq import Dependency, InvalidInput, Job, NoSuchJobError, Queue
from aioq.errors import InvalidJobOperation, InvalidType
from tests import jobs
from tests.worker.notes import note, notes


def create(key: str, value: object, **options: Any) -> Job[Any]:
    return Job.create(note, (key, value), **options)


async def test_they_may_stand_in_any_order(queue: Queue, burst: Any, key: str) -> None:
    there = await queue.enqueue(note, key, "there")
    first = create(key, "first", depends_on=there)
    second = create(key, "second", depends_on=first, job_id="second")
    last = create(key, "last", depends_on=[Dependency(second, on_failure="run"), first])
    assert await queue.enqueue_graph([last, first, second]) == [first, second, last]
    assert [job.status for job in (first, second, last)] == ["deferred"] * 3
    assert last.dependency_ids == ["second", first.id]
    await burst()
    assert notes[key] == ["there", "first", "second", "last"]


async def test_a_graph_of_several_requests(queue: Queue, burst: Any, key: str) -> None:
    chain = [create(key, 0)]

    for number in range(1, 1200):
        chain.append(create(key, number, depends_on=chain[-1]))

    await queue.using(result_ttl=0).enqueue_graph(reversed(chain))
    await burst()
    assert notes[key] == list(range(1200))


async def test_a_circle_is_refused_and_nothing_is_written(queue: Queue, key: str) -> None:
    first = create(key, 1, job_id="a", depends_on="c")
    second = create(key, 2, job_id="b", depends_on=first)
    third = create(key, 3, job_id="c", depends_on=second)

    with pytest.raises(InvalidInput, match=r"in a circle: (a → b → c → a|b → c → a → b|c → a → b → c)"):
        await queue.enqueue_graph([first, second, third])
    with pytest.raises(InvalidInput, match="in a circle: a → a"):
        await queue.enqueue_graph([create(key, 1, job_id="a", depends_on="a")])

    assert await queue.deferred_job_registry.count() == 0


async def test_what_cannot_be_enqueued_is_refused_and_nothing_is_written(queue: Queue, key: str) -> None:
    first, other = create(key, 1), create(key, 2)

    with pytest.raises(InvalidInput, match=f"job {first.id} stands there twice"):
        await queue.enqueue_graph([first, create(key, 1, job_id=first.id)])
    with pytest.raises(InvalidInput, match="was never enqueued"):
        await queue.enqueue_graph([create(key, 3, depends_on=other), first])
    with pytest.raises(NoSuchJobError, match="depend on job nobody"):
        await queue.enqueue_graph([first, create(key, 3, depends_on="nobody")])
    with pytest.raises(InvalidType, match=r"is not what Job\.create returns"):
        await queue.enqueue_graph([first, jobs.noop])  # type: ignore[list-item]
    with pytest.raises(InvalidType, match="expected a list"):
        await queue.enqueue_graph(5)  # type: ignore[arg-type]

    assert await queue.count() == 0
    assert await queue.enqueue_graph([]) == []
    await queue.enqueue_graph([first])

    with pytest.raises(InvalidJobOperation, match=f"job {first.id} was enqueued already"):
        await queue.enqueue_graph([first])


def test_code_without_a_loop_has_it(server: Any, key: str) -> None:
    with aioq.sync.Queue("default", server.url) as queue:
        first = aioq.sync.Job.create(note, (key, 1))
        last = aioq.sync.Job.create(note, (key, 2), depends_on=first)
        assert queue.enqueue_graph([last, first]) == [first, last]
        assert (first.is_queued, last.is_deferred) == (True, True)
        assert last.dependencies() == [first]
        assert last.dependencies()[0].queue is queue
