"""Registry without an event loop."""

from __future__ import annotations

import threading

import pytest

from aioq.errors import InvalidJobOperation
from aioq.sync import Job, Queue
from tests import jobs


def canceled(queue: Queue, number: int) -> list[Job]:
    made = [queue.enqueue(jobs.noop) for _ in range(number)]

    for job in made:
        job.cancel()

    return made


def test_it_lists_what_is_in_its_state(queue: Queue) -> None:
    first, second = canceled(queue, 2)
    registry = queue.canceled_job_registry
    assert registry.count() == 2
    assert registry.job_ids() == [first.id, second.id]
    assert registry.jobs(limit=1, desc=True) == [second]
    assert registry.jobs()[0].queue is queue
    assert registry.contains(first)
    assert registry.contains(first.id)
    assert not queue.failed_job_registry.contains(first)
    assert repr(registry) == "<Registry canceled of default>"
    assert {queue.scheduled_job_registry.count(), queue.started_job_registry.count()} == {0}
    assert {queue.finished_job_registry.count(), queue.stopped_job_registry.count()} == {0}
    assert queue.expired_job_registry.count() == 0


def test_it_brings_jobs_back(queue: Queue) -> None:
    first, second, third = canceled(queue, 3)
    registry = queue.canceled_job_registry
    assert registry.requeue(first).is_queued
    assert registry.requeue(each for each in (first, second)) == {first.id: "queued", second.id: "ok"}
    with pytest.raises(InvalidJobOperation):
        registry.requeue(first.id)
    registry.remove(third)
    assert registry.count() == 0


def test_all_are_brought_back_in_chunks_and_progress_is_told_on_the_callers_thread(queue: Queue) -> None:
    canceled(queue, 3)
    told: list[tuple[int, int]] = []

    def progress(done: int) -> None:
        told.append((done, threading.get_ident()))
        assert queue.count() == 3, "it may make calls itself"

    assert queue.canceled_job_registry.requeue_all(progress=progress) == 3
    assert told == [(3, threading.get_ident())]
    assert queue.canceled_job_registry.requeue_all() == 0
    with pytest.raises(InvalidJobOperation, match="cannot be requeued"):
        queue.finished_job_registry.requeue_all()


def test_what_progress_raises_ends_the_call(queue: Queue) -> None:
    canceled(queue, 2)

    def progress(_: int) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        queue.canceled_job_registry.requeue_all(progress=progress)

    assert queue.count() == 2
