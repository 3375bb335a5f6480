"""aioq, by its public interface, with its defaults."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

from aioq import Group, Job, Queue, Worker
from benchmarks.jobs import note_apart
from benchmarks.systems import Seen
from benchmarks.systems.graphs import Graphs

QUEUE = "bench"


class Client(Graphs):
    def __init__(self, url: str) -> None:
        self._queue = Queue(QUEUE, url)
        self.enqueue = self._queue.enqueue
        self.enqueue_at = self._queue.enqueue_at
        self.waiting = self._queue.count
        self.deferred = self._queue.deferred_job_registry.count

    async def enqueue_many(self, job: Callable[..., Any], calls: Sequence[tuple[Any, ...]]) -> list[Job[Any]]:
        executor = "process" if job is note_apart else None

        return await self._queue.enqueue_many([Queue.prepare_data(job, call, executor=executor) for call in calls])

    async def enqueue_after(
        self, job: Callable[..., Any], calls: Sequence[tuple[Any, ...]], others: Sequence[Job[Any]]
    ) -> list[Job[Any]]:
        return await self._queue.enqueue_many([Queue.prepare_data(job, call, depends_on=others) for call in calls])

    async def chain(self, job: Callable[..., Any], calls: Sequence[tuple[Any, ...]]) -> list[Job[Any]]:
        links: list[Job[Any]] = []

        for call in calls:
            links.append(Job.create(job, call, depends_on=links[-1:]))

        return await self._queue.enqueue_graph(links)

    async def group(self, job: Callable[..., Any], calls: Sequence[tuple[Any, ...]]) -> list[Job[Any]]:
        """As `Queue.enqueue_group`, which does not give the jobs."""
        self._group = Group.create(self._queue)

        return await self._group.enqueue_many(self._queue, [Queue.prepare_data(job, call) for call in calls])

    async def ended(self) -> None:
        await self._group.wait()

    async def result(self, handle: Job[Any]) -> Any:
        return await handle.result(30)

    async def look(self, handles: Sequence[Job[Any]]) -> list[Seen]:
        seen = []

        for start in range(0, len(handles), 500):
            ids = [handle.id for handle in handles[start : start + 500]]
            seen += await asyncio.gather(*(see(job) for job in await self._queue.fetch_many(ids)))

        return seen

    async def scheduled(self) -> int:
        return await self._queue.scheduled_job_registry.count()

    async def aclose(self) -> None:
        await self._queue.aclose()


async def see(job: Job[Any] | None) -> Seen:
    if job is None:
        return Seen(False, None)

    return Seen(True, await job.result(30)) if job.is_finished else Seen(False, job.args[0])


async def work(
    url: str, concurrency: int, limit: int | None, ready: Callable[[], None], stop: asyncio.Event
) -> None:
    worker = Worker(QUEUE, url, concurrency=concurrency)

    async with obeying(worker, stop):
        await worker.run(max_jobs=limit, ready=ready)


@asynccontextmanager
async def obeying(worker: Worker, stop: asyncio.Event) -> AsyncIterator[None]:
    """The worker stops when it is told to."""

    async def obey() -> None:
        await stop.wait()
        worker.request_stop()

    task = asyncio.create_task(obey())
    yield
    task.cancel()
