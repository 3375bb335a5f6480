"""What type checkers know of plain calls: each line must hold under both."""

from __future__ import annotations

from datetime import datetime
from typing import Any, assert_type

from aioq import JobStatus, Result, ResultOf, Retry
from aioq.sync import CurrentJob, Group, Job, Queue, Registry, current_job, get_current_job
from aioq.types import EnqueueData, RetryBudget, result_of
from tests.typing import shop
from tests.typing.shop import Order, Session

WHEN = datetime.fromisoformat("2030-01-01")
queue = Queue("shop")


@queue.task
async def greet(name: str) -> str:
    return name


@queue.task(ttl="1h", retry=3)
def weigh(order: int) -> float | Retry:
    return float(order)


def functions_of_every_kind() -> None:
    assert_type(queue.enqueue(shop.count, "a b"), Job[int])
    assert_type(queue.enqueue(shop.count, text="a b", least=2), Job[int])
    assert_type(queue.enqueue(shop.price, 7, currency="CHF"), Job[str])
    assert_type(queue.enqueue(shop.nothing), Job[None])
    assert_type(queue.enqueue(shop.pages, 3), Job[list[bytes]])
    assert_type(queue.enqueue(shop.later, 3), Job[float])
    assert_type(queue.enqueue(shop.either, 3), Job[int | str])
    assert_type(queue.enqueue(Order(7).confirm, "ann"), Job[int])
    assert_type(queue.enqueue(Order.newest, 1), Job[bool])
    assert_type(queue.enqueue(shop.fetch, "http://localhost"), Job[bytes])
    assert_type(queue.enqueue("shop.count", "a b", ttl=5), Job[Any])
    assert_type(queue.enqueue(shop.charge, 7, session=Session()), Job[float])


def options_beside_the_arguments() -> None:
    assert_type(queue.enqueue(shop.count, "a b", ttl=5), Job[int])
    assert_type(queue.enqueue(shop.pages, 3, retry=3), Job[list[bytes]])
    assert_type(queue.enqueue(shop.price, 7, args=(7,)), Job[str])
    assert_type(queue.enqueue_in("5m", shop.price, 7), Job[str])
    assert_type(queue.enqueue_in("5m", shop.pages, 7, ttl=5), Job[list[bytes]])
    assert_type(queue.enqueue_at(WHEN, shop.count, "a b"), Job[int])
    assert_type(queue.enqueue_at(WHEN, "shop.count", "a b"), Job[Any])
    assert_type(queue.enqueue_call(shop.count, ("a b",), timeout=5), Job[int])
    assert_type(queue.enqueue_call(shop.pages, (3,)), Job[list[bytes]])
    assert_type(queue.enqueue_job(Job.create(shop.count, ("a b",), ttl=5)), Job[int])
    assert_type(Job.create(shop.pages, (3,)), Job[list[bytes]])


def dependencies(job: Job[int]) -> None:
    assert_type(queue.using(depends_on=[job, "id"]).enqueue(shop.price, 7), Job[str])
    assert_type(queue.enqueue(shop.price, 7, depends_on=job), Job[str])
    assert_type(result_of(job), int)
    assert_type(queue.using(depends_on=job).enqueue(shop.price, result_of(job)), Job[str])
    assert_type(queue.enqueue(shop.price, ResultOf(job), depends_on=job), Job[str])
    assert_type(job.requeue(dependents=True), dict[str, str])
    assert_type(job.dependents(), list[Job[Any]])
    assert_type(job.dependencies(), list[Job[Any] | None])


def options_apart() -> None:
    assert_type(queue.using(ttl=5).enqueue(shop.count, "a b", least=2), Job[int])
    assert_type(queue.using().enqueue(shop.later, 3), Job[float])
    assert_type(queue.using().enqueue_at(WHEN, shop.pages, 3).result(timeout=5), list[bytes])
    assert_type(queue.using().enqueue_in("5m", shop.price, 7).return_value(), str | None)
    assert_type(queue.using().enqueue_call(shop.price, (7,)), Job[str])
    assert_type(queue.using().enqueue("shop.count", "a b"), Job[Any])


def tasks() -> None:
    assert_type(greet.enqueue("you"), Job[str])
    assert_type(greet.using(ttl=5).enqueue_in("10m", "you"), Job[str])
    assert_type(weigh.enqueue_at(WHEN, 7), Job[float | Retry])
    assert_type(weigh(7), float | Retry)
    assert_type(greet.call("you"), EnqueueData[str])
    assert_type(queue.task(shop.pages).enqueue(3), Job[list[bytes]])


def many_calls(texts: list[str]) -> None:
    assert_type(queue.enqueue_many([queue.using().call(shop.count, text) for text in texts]), list[Job[int]])
    assert_type(queue.enqueue_many(Queue.prepare_data(shop.price, (7,)) for _ in texts), list[Job[str]])
    assert_type(greet.enqueue_many([greet.call(text) for text in texts]), list[Job[str]])
    assert_type(queue.using().call(shop.pages, 3), EnqueueData[list[bytes]])


def reads(job: Job[int]) -> None:
    assert_type(queue.count(), int)
    assert_type(queue.job_ids(), list[str])
    assert_type(queue.fetch_job("a"), Job[Any] | None)
    assert_type(queue.requeue("a"), Job[Any])
    assert_type(queue.requeue(["a", job]), dict[str, str])
    assert_type(queue.failed_job_registry, Registry)
    assert_type(queue.retry_budget(), RetryBudget | None)
    assert_type(job.retries_left, int | None)
    assert_type(queue.failed_job_registry.requeue(job), Job[Any])
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


def groups() -> None:
    group = queue.enqueue_group([queue.using().call(shop.count, "a b")], on_complete=shop.nothing)
    assert_type(group, Group[int])
    assert_type(group.results(), list[int])
    assert_type(group.jobs(), list[Job[int] | None])
    assert_type((group.progress()).failed, int)
    assert_type(Group.create(queue).enqueue_many(queue, [queue.using().call(shop.price, 7)]), list[Job[str]])

    for job in group.as_completed():
        assert_type(job, Job[int])
