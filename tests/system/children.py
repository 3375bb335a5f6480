"""Jobs that enqueue further jobs by a Queue of their module, from plain functions and from coroutines."""

from __future__ import annotations

import asyncio
import os

from aioq import Queue, get_current_job

queue = Queue("children", os.environ["AIOQ_REDIS_URL"])


async def double(number: int) -> int:
    return 2 * number


def parent(number: int) -> str:
    """Enqueues, in an event loop of its own."""
    return asyncio.run(queue.enqueue(double, number)).id


def waiting_parent(number: int) -> int:
    """Enqueues, and waits for the result."""

    async def both() -> int:
        return await (await queue.enqueue(double, number)).result(timeout=30)

    return asyncio.run(both())


async def coroutine_parent(number: int) -> int:
    """The same on the worker's event loop, with the same Queue."""
    return await (await queue.enqueue(double, number)).result(timeout=30)


def notes_itself(number: int) -> None:
    """Uses its own job's handle, whose connection is the worker's."""
    job = get_current_job()
    job.meta["number"] = number
    asyncio.run(job.save_meta())
