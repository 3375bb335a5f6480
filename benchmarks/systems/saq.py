"""saq: 32 jobs at once, which was its fastest; a result is polled every 5 ms (500 by default), as by apply()."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

from saq import Queue, Worker
from saq.job import Status

from benchmarks import jobs
from benchmarks.systems import Seen, gather_many, given, serve

TUNED: dict[str, Any] = {"poll_interval": 0.005}


class Client:
    def __init__(self, url: str) -> None:
        self._queue = Queue.from_url(url, name="bench")

    async def enqueue(self, job: Callable[..., Any], *args: Any) -> str:
        return (await self._queue.enqueue(job.__name__, args=args)).key

    async def enqueue_many(self, job: Callable[..., Any], calls: Sequence[tuple[Any, ...]]) -> list[str]:
        return await gather_many(self, job, calls)

    async def result(self, handle: str) -> Any:
        """The loop of its apply(), without the enqueue."""
        async with asyncio.timeout(30):
            while True:
                (job,) = await self._queue.jobs([handle])

                if job.status == Status.COMPLETE:
                    return job.result

                await asyncio.sleep(TUNED.get("poll_interval", 0.5))

    async def look(self, handles: Sequence[str]) -> list[Seen]:
        seen = []

        for job in await self._queue.jobs(handles):
            ended = job.status == Status.COMPLETE
            seen.append(Seen(ended, job.result if ended else job.kwargs["args"][0]))

        return seen

    async def waiting(self) -> int:
        return await self._queue.count("queued")

    async def aclose(self) -> None:
        await self._queue.disconnect()


def _task(function: Callable[..., Any]) -> Callable[..., Any]:
    """Its jobs take a context and keywords."""

    async def task(_: Any, *, args: list[Any]) -> Any:
        return await function(*args)

    return task


async def work(
    url: str, concurrency: int | None, limit: int | None, ready: Callable[[], None], stop: asyncio.Event
) -> None:
    queue = Queue.from_url(url, name="bench")
    functions = [(name, _task(function)) for name, function in jobs.COROUTINES.items()]
    worker = Worker(queue, functions, **given(concurrency, "concurrency"))
    ready()
    await serve(worker.start(), stop)
