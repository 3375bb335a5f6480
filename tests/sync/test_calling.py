"""Where plain calls are made, and where they are refused."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncGenerator, Callable
from typing import Any

import pytest

from aioq.errors import WrongContext
from aioq.sync import Job, Queue
from aioq.sync.calling import iterate
from tests import jobs


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda queue: queue.enqueue(jobs.noop), "enqueue: .*`await ….enqueue(…)`"),
        (lambda queue: queue.using().enqueue(jobs.noop), "`await ….enqueue(…)`"),
        (lambda queue: queue.count(), "`await ….count(…)`"),
        (lambda queue: queue.close(), "`await ….aclose(…)`"),
        (lambda queue: queue.fetch_job("a"), "`await ….fetch_job(…)`"),
        (lambda queue: Job.fetch("a", queue), "`await ….fetch(…)`"),
        (lambda queue: queue.failed_job_registry.requeue_all(), "`await ….requeue_all(…)`"),
        (lambda queue: Queue.all(queue.connection), "`await ….all(…)`"),
    ],
)
async def test_in_a_coroutine_a_call_is_refused_and_names_the_form_for_it(
    queue: Queue, call: Callable[[Queue], Any], said: str
) -> None:
    with pytest.raises(WrongContext, match=said.replace("(", r"\(").replace(")", r"\)")):
        call(queue)

    assert await asyncio.to_thread(queue.is_empty), "on a thread it is made"


async def test_in_a_callback_of_a_loop_it_is_refused_too(queue: Queue) -> None:
    told: asyncio.Future[Exception] = asyncio.get_running_loop().create_future()

    def callback() -> None:
        try:
            queue.count()
        except WrongContext as error:
            told.set_result(error)

    asyncio.get_running_loop().call_soon(callback)
    assert "would block the event loop" in str(await told)


def test_an_asynchronous_generator_is_read_as_it_goes_and_closed() -> None:
    seen: list[object] = []

    async def numbers() -> AsyncGenerator[int]:
        try:
            for number in range(5):
                seen.append((number, threading.current_thread().name))
                yield number
        finally:
            seen.append("closed")

    assert list(iterate(numbers())) == [0, 1, 2, 3, 4]
    assert seen == [*((number, "aioq-sync") for number in range(5)), "closed"]
    seen.clear()

    for number in iterate(numbers()):
        if number == 1:
            break

    assert seen == [(0, "aioq-sync"), (1, "aioq-sync"), "closed"]
