"""What type checkers know of results: each line must hold under both."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import datetime
from functools import partial
from typing import Any, Unpack, assert_type

from aioq import (
    Callback,
    Dependency,
    Group,
    Job,
    Queue,
    Repeat,
    ResultOf,
    Retry,
    Webhook,
    Worker,
    current_job,
    get_current_job,
    get_resources,
)
from aioq.client.context import CurrentJob
from aioq.types import BoundTask, EnqueueData, Options, Registry, RetryBudget, Task, result_of
from tests.typing import shop
from tests.typing.shop import Order, Session, queue

WHEN = datetime.fromisoformat("2030-01-01")


async def functions_of_every_kind() -> None:
    assert_type(await queue.enqueue(shop.count, "a b"), Job[int])
    assert_type(await queue.enqueue(shop.count, "a b", 2), Job[int])
    assert_type(await queue.enqueue(shop.count, text="a b", least=2), Job[int])
    assert_type(await queue.enqueue(shop.price, 7, currency="CHF"), Job[str])
    assert_type(await queue.enqueue(shop.nothing), Job[None])
    assert_type(await queue.enqueue(shop.pages, 3), Job[list[bytes]])
    assert_type(await queue.enqueue(shop.lines, 3), Job[list[str]])
    assert_type(await queue.enqueue(shop.later, 3), Job[float])
    assert_type(await queue.enqueue(shop.either, 3), Job[int | str])
    assert_type(await queue.enqueue(Order(7).confirm, "ann"), Job[int])
    assert_type(await queue.enqueue(Order(7).parts), Job[list[int]])
    assert_type(await queue.enqueue(Order.newest, 1), Job[bool])
    assert_type(await queue.enqueue(Order.total, 1), Job[float])
    assert_type(await queue.enqueue(Order(7), 0.5), Job[str])
    assert_type(await queue.enqueue(partial(shop.price, 7)), Job[str])
    assert_type(await queue.enqueue(shop.fetch, "http://localhost"), Job[bytes])
    assert_type(await queue.enqueue(shop.greet, "you"), Job[str])
    assert_type(await queue.enqueue("shop.count", "a b", ttl=5), Job[Any])


async def what_is_declared_is_the_result() -> None:
    """A Retry is among it, though a job never gives one."""
    assert_type(await queue.enqueue(shop.stock, 7), Job[bool | Retry])
    assert_type(await queue.using().enqueue(shop.paid, 7), Job[str | Retry | None])
    assert_type(await shop.weigh.enqueue(7), Job[float | Retry])
    assert_type(shop.weigh(7), float | Retry)


async def annotations_with_any(values: dict[str, Any]) -> None:
    """mypy gives up where several overloads may be meant; what it knows is the type that is written down."""
    job: Job[int] = await queue.enqueue(shop.untold, 3)
    assert_type(await job.result(), int)
    assert_type(await shop.store.enqueue(values), Job[int])
    assert_type(await queue.task(shop.keep).enqueue(values), Job[int])


async def asked_again() -> int:
    raise Retry(interval=30, within="1h") from None


async def options_beside_the_arguments() -> None:
    assert_type(await queue.enqueue(shop.count, "a b", ttl=5), Job[int])
    assert_type(await queue.enqueue(shop.count, "a b", least=2, job_timeout="5m", retry=Retry(3)), Job[int])
    assert_type(await queue.enqueue(shop.count, "a b", ttl=None), Job[int])
    first = await queue.enqueue(shop.nothing)
    assert_type(await queue.enqueue(shop.count, "a b", depends_on=first), Job[int])
    assert_type(await queue.enqueue(shop.count, "a b", depends_on=[first, "id"]), Job[int])
    assert_type(await first.requeue(at_front=True), Job[None])
    assert_type(await first.requeue(dependents=True), dict[str, str])
    waits = queue.using(depends_on=Dependency([first], on_failure="run"))
    assert_type(await waits.enqueue(shop.count, "a b"), Job[int])
    assert_type(await first.dependents(), list[Job[Any]])
    assert_type(await first.dependencies(), list[Job[Any] | None])
    order = await queue.enqueue(shop.charge, 3)
    assert_type(await queue.enqueue(shop.charge, ResultOf(order), depends_on=order), Job[float])
    number = await queue.enqueue(shop.count, "a b")
    assert_type(result_of(number), int)
    assert_type(await queue.using(depends_on=number).enqueue(shop.price, result_of(number)), Job[str])
    assert_type(await queue.enqueue(shop.count, "a b", repeat=Repeat(3, [10, "1m"])), Job[int])
    assert_type(await queue.enqueue(shop.pages, 3, meta={"by": "ann"}), Job[list[bytes]])
    assert_type(await queue.enqueue(shop.price, args=(7,), kwargs={"currency": "CHF"}), Job[str])


async def webhooks() -> None:
    hook = Webhook("https://example.com", ["failed", "finished"], headers={"a": "b"}, timeout="5s", secret="s")
    assert_type(await queue.enqueue(shop.count, "a b", webhooks=[hook]), Job[int])
    assert_type(await queue.using(webhooks=hook).enqueue(shop.count, "a b"), Job[int])
    assert_type((await queue.enqueue(shop.nothing)).webhooks, list[Webhook])
    Worker(queue, webhook_allow_private=True, webhook_secrets={"a": "whsec_", "b": ["whsec_"]})


async def callbacks() -> None:
    async def tell(job: Job[Any], result: object) -> None: ...

    assert_type(await queue.enqueue(shop.count, "a b", on_success=tell, on_failure="shop.tell"), Job[int])
    warn = Callback(tell, args=("x",), kwargs={"y": 1}, timeout="10s", retry=3)
    assert_type(await queue.using(on_retry=warn, on_expired=None).enqueue(shop.count, "a b"), Job[int])
    assert_type((await queue.enqueue(shop.nothing)).callbacks, dict[str, str])
    assert_type(await queue.callback_ids(), list[str])
    assert_type(current_job().callback, str | None)


async def later_and_at_a_time() -> None:
    assert_type(await queue.enqueue_in("10m", shop.count, "a b"), Job[int])
    assert_type(await queue.enqueue_in(60, shop.pages, 3, ttl=5), Job[list[bytes]])
    assert_type(await queue.enqueue_in(60, "shop.count", "a b"), Job[Any])
    assert_type(await queue.enqueue_at(WHEN, shop.price, 7), Job[str])
    assert_type(await queue.enqueue_at(WHEN, shop.price, 7, ttl=5), Job[str])
    assert_type(await queue.enqueue_at(WHEN, shop.stock, 7), Job[bool | Retry])


async def options_first() -> None:
    urgent = queue.using(at_front=True, retry=3).using(ttl="5m")
    assert_type(await urgent.enqueue(shop.count, "a b", least=2), Job[int])
    assert_type(await urgent.enqueue(shop.pages, 3), Job[list[bytes]])
    assert_type(await urgent.enqueue_in("10m", shop.price, 7), Job[str])
    assert_type(await urgent.enqueue_at(WHEN, shop.lines, 3), Job[list[str]])
    assert_type(await urgent.enqueue(Order(7).confirm, "ann"), Job[int])
    assert_type(await urgent.enqueue(shop.fetch, "http://localhost"), Job[bytes])
    assert_type(await urgent.enqueue("shop.count", "a b"), Job[Any])


async def arguments_apart() -> None:
    assert_type(await queue.enqueue_call(shop.count, ("a b",), timeout="2m"), Job[int])
    assert_type(await queue.enqueue_call(shop.pages, args=(3,)), Job[list[bytes]])
    assert_type(await queue.using().enqueue_call(shop.stock, (7,)), Job[bool | Retry])
    assert_type(Job.create(shop.count, ("a b",), ttl=43), Job[int])
    assert_type(Job.create(shop.pages, (3,)), Job[list[bytes]])
    assert_type(Job.create("shop.count"), Job[Any])
    assert_type(await queue.enqueue_job(Job.create(shop.price, (7,))), Job[str])


async def tasks() -> None:
    assert_type(await shop.fetch("http://localhost"), bytes)
    assert_type(await shop.greet.enqueue("you"), Job[str])
    assert_type(await shop.greet.enqueue_in(60, name="you"), Job[str])
    assert_type(await shop.greet.enqueue_at(WHEN, "you"), Job[str])
    assert_type(await shop.greet.using(ttl=5).enqueue("you"), Job[str])
    assert_type(await shop.search.enqueue("hat", limit=3), Job[list[str]])
    assert_type(await shop.search.enqueue_in("1m", "hat"), Job[list[str]])
    assert_type(await shop.search.enqueue_at(WHEN, "hat"), Job[list[str]])
    assert_type([word async for word in shop.search("hat")], list[str])
    assert_type(await shop.greet("you"), str)


async def many(texts: list[str]) -> None:
    calls = [queue.using(ttl=5).call(shop.count, text) for text in texts]
    assert_type(calls, list[EnqueueData[int]])
    assert_type(await queue.enqueue_many(calls), list[Job[int]])
    assert_type(await queue.using(ttl=5).enqueue_many(calls), list[Job[int]])
    assert_type(await queue.enqueue_many([queue.using().call(shop.pages, 3)]), list[Job[list[bytes]]])
    assert_type(
        await queue.enqueue_many(Queue.prepare_data(shop.stock, (7,)) for _ in texts), list[Job[bool | Retry]]
    )
    assert_type(await shop.greet.enqueue_many([shop.greet.call("you")]), list[Job[str]])
    assert_type(await shop.search.enqueue_many([shop.search.using(ttl=5).call("hat")]), list[Job[list[str]]])
    assert_type(queue.using().call("shop.count", 1), EnqueueData[Any])


async def dependencies_are_left_out() -> None:
    assert_type(await queue.enqueue(shop.charge, 7), Job[float])
    assert_type(await queue.using(ttl=5).enqueue(shop.charge, 7), Job[float])
    assert_type(await queue.enqueue(shop.charge, 7, Session()), Job[float])
    assert_type(await queue.enqueue(shop.refund, 7, session=Session()), Job[float])


async def results(job: Job[int]) -> None:
    assert_type(await job.result(), int)
    assert_type(await job.result(timeout="5s"), int)
    assert_type(await job.return_value(), int | None)
    assert_type(await job.requeue(), Job[int])
    assert_type(await (await shop.search.enqueue("hat")).result(), list[str])
    assert_type(await wider(job).result(), float)
    stored: Job[str] = await Job.fetch("id", queue)
    assert_type(await stored.result(), str)
    assert_type(await queue.fetch_job("id"), Job[Any] | None)
    assert_type(await queue.retry_budget(), RetryBudget | None)
    assert_type(job.retries_left, int | None)


def inside_of_a_job() -> None:
    assert_type(get_resources(Session), Session)
    assert_type(current_job(), CurrentJob)
    assert_type(get_current_job(), CurrentJob | None)
    assert_type(current_job().queue, Queue)


async def in_annotations(**options: Unpack[Options]) -> None:
    registry: Registry = queue.failed_job_registry
    assert_type(await registry.jobs(), list[Job[Any]])
    assert_type(await queue.using(**options).enqueue(shop.count, "a b"), Job[int])
    assert_type(await each_kind(shop.fetch, shop.greet), None)


def wider(job: Job[float]) -> Job[float]:
    """A Job[int] is a Job[float]."""
    return job


async def each_kind(loose: Task[[str], object], bound: BoundTask[[str], object]) -> None:
    assert_type(await queue.enqueue(loose, "a"), Job[object])
    assert_type(await bound.enqueue("a"), Job[object])


async def lifespan(worker: Worker) -> AsyncIterator[Session]:
    assert_type(worker.queue_names, list[str])
    yield Session()


WORKER = Worker(queue, lifespan=lifespan)


async def groups() -> None:
    group = await queue.enqueue_group([queue.using().call(shop.count, "a b")], on_complete=shop.nothing)
    assert_type(group, Group[int])
    assert_type(await group.results(), list[int])
    assert_type(await group.jobs(), list[Job[int] | None])
    assert_type((await group.progress()).failed, int)
    assert_type(await Group.create(queue).enqueue_many(queue, [queue.using().call(shop.price, 7)]), list[Job[str]])

    async for job in group.as_completed():
        assert_type(job, Job[int])
