"""aioq again, with the jobs spread over twelve queues."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

from aioq import Connection, Job, Queue, Worker
from benchmarks.systems import Seen
from benchmarks.systems.aioq import obeying, see

QUEUES = tuple(f"bench-{number}" for number in range(12))


class Client:
    def __init__(self, url: str) -> None:
        self._connection = Connection(url)
        self._queues = [Queue(name, self._connection) for name in QUEUES]

    async def enqueue_many(self, job: Callable[..., Any], calls: Sequence[tuple[Any, ...]]) -> list[Job[Any]]:
        """In the order of the calls, although each queue gets its own in one call."""
        parts = [[Queue.prepare_data(job, call) for call in calls[at :: len(QUEUES)]] for at in range(len(QUEUES))]
        found = await asyncio.gather(
            *(queue.enqueue_many(part) for queue, part in zip(self._queues, parts, strict=True))
        )

        return [found[at % len(QUEUES)][at // len(QUEUES)] for at in range(len(calls))]

    async def look(self, handles: Sequence[Job[Any]]) -> list[Seen]:
        for job in handles:
            await job.refresh()

        return [await see(job) for job in handles]

    async def aclose(self) -> None:
        await self._connection.aclose()


async def work(
    url: str, concurrency: int, limit: int | None, ready: Callable[[], None], stop: asyncio.Event
) -> None:
    worker = Worker(QUEUES, url, concurrency=concurrency)

    async with obeying(worker, stop):
        await worker.run(max_jobs=limit, ready=ready)
