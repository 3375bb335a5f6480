"""Plain calls that both type checkers must refuse, each in a line of its own, and nothing else here.

A line that one of them takes is an error, too: it reports the comment that it does not need.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from aioq.sync import Group, Job, Queue
from tests.typing import shop

WHEN = datetime.fromisoformat("2030-01-01")
queue = Queue("shop")
urgent = queue.using(at_front=True)


@queue.task
async def greet(name: str) -> str:
    return name


def arguments_of_enqueue() -> None:
    """There is nothing to await, so it is the use of what such a call gives that is refused."""
    queue.enqueue(shop.count).result()  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue, reportUnknownMemberType]
    queue.enqueue(shop.count, 7).result()  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue, reportUnknownMemberType]
    queue.enqueue(shop.count, "a b", tll=5).id  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue, reportUnknownMemberType]
    queue.enqueue(shop.price, "7").result()  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue, reportUnknownMemberType]
    queue.enqueue_in("10m", shop.count, 7).result()  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue, reportUnknownMemberType]
    queue.enqueue_at(WHEN, shop.count).result()  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue, reportUnknownMemberType]
    job: Job[Any] = queue.enqueue(shop.count, 7)  # type: ignore[assignment]  # pyright: ignore[reportAssignmentType]
    queue.enqueue_in(None, shop.count, "a b")  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType, reportCallIssue]
    queue.enqueue(7)  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType, reportCallIssue]
    queue.enqueue(shop.count("a b"))  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType, reportCallIssue]
    print(job)


def arguments_of_using() -> None:
    urgent.enqueue(shop.count)  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue]
    urgent.enqueue(shop.count, 7)  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType, reportCallIssue]
    urgent.enqueue(shop.count, "a b", ttl=5)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    urgent.enqueue_in("10m", shop.count, 7)  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType, reportCallIssue]
    urgent.enqueue_at(WHEN, shop.pages)  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue]
    urgent.call(shop.count, 7)  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType, reportCallIssue]


def arguments_of_tasks() -> None:
    greet.enqueue()  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue]
    greet.enqueue(7)  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType, reportCallIssue]
    greet.enqueue("you", ttl=5)  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue]
    greet.enqueue_in("10m", 7)  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType, reportCallIssue]
    greet.call(7)  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType, reportCallIssue]
    queue.task(shop.count).enqueue(7)  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType, reportCallIssue]


def options() -> None:
    queue.using(tll=5)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    queue.task(durability="disk")  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType]
    Queue.prepare_data(shop.count, ("a b",), at_front="yes")  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType, reportCallIssue]
    Job.create(shop.count, ("a b",), tll=5)  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue]
    queue.enqueue_call(shop.count, ("a b",), job_id=7)  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType, reportCallIssue]


def results(job: Job[int]) -> None:
    text: str = job.result()  # type: ignore[assignment]  # pyright: ignore[reportAssignmentType]
    other: Job[str] = queue.enqueue(shop.count, "a b")  # type: ignore[assignment]  # pyright: ignore[reportAssignmentType]
    print(text, other)


def groups() -> None:
    queue.enqueue_group([shop.count])  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    queue.enqueue_group([], on_complete=7)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    queue.enqueue_group([], on_complete=shop.count)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    Group.fetch("g")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
