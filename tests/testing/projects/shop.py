"""The jobs of the sample projects, and what each of their tests does with a kit."""

from __future__ import annotations

from aioq import Queue
from aioq.testing import TestKit


async def add(left: int, right: int = 0) -> int:
    return left + right


async def fail(text: str) -> None:
    raise ValueError(text)  # the line of the error


async def open_and_enqueue() -> None:
    async with Queue() as queue:
        await queue.enqueue(add, 1)


async def use(kit: TestKit, number: int) -> None:
    queue = kit.queue()
    job = await queue.enqueue(add, number, right=1)
    await kit.assert_enqueued(add, number)
    await queue.enqueue_in("2h", add, number)
    (run,) = await kit.run_until_idle()
    assert (run.job, run.result) == (job, number + 1)
    await kit.advance(hours=2)
    (run,) = await kit.run_until_idle()
    assert run.result == number
