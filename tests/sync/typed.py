"""The types of plain calls, for mypy: what it must infer, and what it must refuse."""

from __future__ import annotations

from datetime import datetime
from typing import Any, assert_type

from aioq import JobStatus, Result
from aioq.sync import CurrentJob, Job, Queue, Registry, current_job, get_current_job
from aioq.types import EnqueueData


def words(text: str, *, least: int = 0) -> int:
    return len(text)


async def shout(text: str) -> str:
    return text.upper()


def uses(queue: Queue, job: Job[int], moment: datetime) -> None:
    assert_type(queue.enqueue(words, "one", ttl=5), Job[Any])
    assert_type(queue.using(ttl=5).enqueue(words, "one", least=2), Job[int])
    assert_type(queue.using().enqueue(shout, "one"), Job[str])
    assert_type(queue.using().enqueue_at(moment, shout, "one").result(timeout=5), str)
    assert_type(queue.using().enqueue_in("5m", words, "one").return_value(), int | None)
    assert_type(queue.enqueue_many([queue.using().call(words, "one")]), list[Job[Any]])
    assert_type(queue.using().call(words, "one"), EnqueueData[Any])
    assert_type(queue.count(), int)
    assert_type(queue.job_ids(), list[str])
    assert_type(queue.fetch_job("a"), Job[Any] | None)
    assert_type(queue.requeue("a"), Job[Any])
    assert_type(queue.requeue(["a", job]), dict[str, str])
    assert_type(queue.failed_job_registry, Registry)
    assert_type(queue.failed_job_registry.requeue(job), Job[Any])
    assert_type(queue.task(words)("one"), int)
    assert_type(Queue.all(), list[Queue])

    assert_type(job.result(), int)
    assert_type(job.requeue(), Job[int])
    assert_type(job.results(), list[Result])
    assert_type(job.get_status(), JobStatus)
    assert_type(job.save_meta(), None)
    assert_type(current_job(), CurrentJob)
    assert_type(get_current_job(), CurrentJob | None)
    assert_type(current_job().queue, Queue)

    with Queue() as entered:
        assert_type(entered, Queue)


def mistakes(queue: Queue) -> None:
    queue.using().enqueue(words, 5)  # type: ignore[call-overload]
    queue.using().enqueue_in(5, shout)  # type: ignore[call-overload]
    queue.using().call(words, "one", most=5)  # type: ignore[call-arg]
    queue.task(words).enqueue(5)  # type: ignore[arg-type]
    queue.using(tll=5)  # type: ignore[call-arg]
