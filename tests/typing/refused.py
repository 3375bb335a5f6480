"""Calls that both type checkers must refuse, each in a line of its own, and nothing else here.

A line that one of them takes is an error, too: it reports the comment that it does not need.
"""

from __future__ import annotations

from datetime import datetime

from aioq import Dependency, Group, Job, Queue, Repeat, ResultOf, Retry, Webhook, get_resources
from aioq.types import result_of
from tests.typing import shop
from tests.typing.shop import Order, Session, queue

WHEN = datetime.fromisoformat("2030-01-01")
urgent = queue.using(at_front=True)


async def arguments_of_enqueue() -> None:
    await queue.enqueue(shop.count)  # type: ignore[misc]  # pyright: ignore[reportGeneralTypeIssues]
    await queue.enqueue(shop.count, 7)  # type: ignore[misc]  # pyright: ignore[reportGeneralTypeIssues]
    await queue.enqueue(shop.count, "a b", 2, 3)  # type: ignore[misc]  # pyright: ignore[reportGeneralTypeIssues]
    await queue.enqueue(shop.count, "a b", most=3)  # type: ignore[misc]  # pyright: ignore[reportGeneralTypeIssues]
    await queue.enqueue(shop.count, "a b", least="2")  # type: ignore[misc]  # pyright: ignore[reportGeneralTypeIssues]
    await queue.enqueue(shop.count, "a b", tll=5)  # type: ignore[misc]  # pyright: ignore[reportGeneralTypeIssues]
    await queue.enqueue(shop.price, "7")  # type: ignore[misc]  # pyright: ignore[reportGeneralTypeIssues]
    await queue.enqueue(shop.price, 7, "CHF")  # type: ignore[misc]  # pyright: ignore[reportGeneralTypeIssues]
    await queue.enqueue(shop.pages, "3")  # type: ignore[misc]  # pyright: ignore[reportGeneralTypeIssues]
    await queue.enqueue(shop.nothing, 1)  # type: ignore[misc]  # pyright: ignore[reportGeneralTypeIssues]
    await queue.enqueue(Order(7).confirm, 7)  # type: ignore[misc]  # pyright: ignore[reportGeneralTypeIssues]
    await queue.enqueue(Order.newest)  # type: ignore[misc]  # pyright: ignore[reportGeneralTypeIssues]
    await queue.enqueue(Order(7), "2")  # type: ignore[misc]  # pyright: ignore[reportGeneralTypeIssues]
    await queue.enqueue(shop.fetch, 7)  # type: ignore[misc]  # pyright: ignore[reportGeneralTypeIssues]
    await queue.enqueue(shop.charge, "7")  # type: ignore[misc]  # pyright: ignore[reportGeneralTypeIssues]
    await queue.enqueue(shop.refund, 7)  # type: ignore[misc]  # pyright: ignore[reportGeneralTypeIssues]
    await queue.enqueue_in("10m", shop.count, 7)  # type: ignore[misc]  # pyright: ignore[reportGeneralTypeIssues]
    await queue.enqueue_in(None, shop.count, "a b")  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue, reportArgumentType]
    await queue.enqueue_at(WHEN, shop.count)  # type: ignore[misc]  # pyright: ignore[reportGeneralTypeIssues]
    await queue.enqueue_at("2030-01-01", shop.count, "a b")  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue, reportArgumentType]


async def what_is_no_function() -> None:
    await queue.enqueue(7)  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue, reportArgumentType]
    await queue.enqueue(shop.count("a b"))  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue, reportArgumentType]
    await queue.enqueue(None, 1)  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue, reportArgumentType]
    await urgent.enqueue(shop.count("a b"))  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue, reportArgumentType]
    await urgent.enqueue(7, "a b")  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue, reportArgumentType]


async def arguments_of_using() -> None:
    await urgent.enqueue(shop.count)  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue]
    await urgent.enqueue(shop.count, 7)  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue, reportArgumentType]
    await urgent.enqueue(shop.count, "a b", ttl=5)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    await urgent.enqueue(shop.price, 7, "CHF")  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue]
    await urgent.enqueue(shop.pages, number="3")  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue, reportArgumentType]
    await urgent.enqueue(shop.charge, 7, 8)  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue, reportArgumentType]
    await urgent.enqueue_in("10m", shop.count, 7)  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue, reportArgumentType]
    await urgent.enqueue_at(WHEN, shop.pages)  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue]


async def arguments_of_tasks() -> None:
    await shop.greet.enqueue()  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue]
    await shop.greet.enqueue(7)  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue, reportArgumentType]
    await shop.greet.enqueue("you", ttl=5)  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue]
    await shop.greet.enqueue_in("10m", 7)  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue, reportArgumentType]
    await shop.greet.enqueue_at(WHEN)  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue]
    await shop.search.enqueue("hat", limit="3")  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue, reportArgumentType]
    await shop.search.using(ttl=5).enqueue()  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue]
    shop.fetch(7)  # type: ignore[unused-coroutine, arg-type]  # pyright: ignore[reportUnusedCoroutine, reportArgumentType]
    shop.greet.call(7)  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue, reportArgumentType]


async def calls_of_enqueue_many() -> None:
    urgent.call(shop.count)  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue]
    urgent.call(shop.count, 7)  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue, reportArgumentType]
    urgent.call(shop.pages, number="3")  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue, reportArgumentType]
    await queue.enqueue_many([shop.count])  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    await queue.enqueue_many(urgent.call(shop.count, "a b"))  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


async def options() -> None:
    queue.using(tll=5)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    queue.using(retry="3")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    queue.using(depends_on=7)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    ResultOf(7)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    text = await queue.enqueue(shop.price, 7)
    await queue.using(depends_on=text).enqueue(shop.price, result_of(text))  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue, reportArgumentType]
    Dependency("id", on_failure="stop")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    queue.using(webhooks="https://example.com")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    Webhook("https://example.com", "done")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    queue.using(on_success=7)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    queue.using(executor="fiber")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    queue.task(durability="disk")  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType]
    Queue.prepare_data(shop.count, ("a b",), at_front="yes")  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue, reportArgumentType]
    Job.create(shop.count, ("a b",), tll=5)  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue]
    await queue.enqueue_call(shop.count, ("a b",), job_id=7)  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue, reportArgumentType]
    Retry(within=[1])  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    await queue.set_retry_budget("10/s")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    queue.using(repeat=3)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    Repeat("3")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    Repeat(3, until="tomorrow")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    Repeat(3, on_failure="ignore")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    Retry("3")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    Queue("shop", default_executor="fiber")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


async def results(job: Job[int]) -> None:
    text: str = await job.result()  # type: ignore[assignment]  # pyright: ignore[reportAssignmentType]
    other: Job[str] = await queue.enqueue(shop.count, "a b")  # type: ignore[misc]  # pyright: ignore[reportAssignmentType]
    await job.result(timeout=WHEN)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    number: int = await (await shop.search.enqueue("hat")).result()  # type: ignore[assignment]  # pyright: ignore[reportAssignmentType]
    session: int = get_resources(Session)  # type: ignore[assignment]  # pyright: ignore[reportAssignmentType]
    get_resources(Session())  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    job.id = "other"  # type: ignore[misc]  # pyright: ignore[reportAttributeAccessIssue]
    print(text, other, number, session, job.identity)  # type: ignore[attr-defined]  # pyright: ignore[reportUnknownMemberType, reportUnknownArgumentType, reportAttributeAccessIssue]


async def groups() -> None:
    await queue.enqueue_group([shop.count])  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    await queue.enqueue_group([], on_complete=7)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    await queue.enqueue_group([], on_complete=shop.count)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    await Group.fetch("g")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
