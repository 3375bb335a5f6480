"""toro (toro-queue): 100 jobs at once (1 by default), all finished jobs kept (the last 1,000 by default).

Its flows are trees of at most 1,000 jobs: a job can wait for many, and no two for the same one. So there is no
fan-out, and no group.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

from toro import FlowChild, Job, Queue
from toro import Worker as ToroWorker

from benchmarks import jobs
from benchmarks.systems import Seen, given, serve

QUEUE = "bench"
TUNED: dict[str, Any] = {}


class Client:
    def __init__(self, url: str) -> None:
        # Without this, results of more than 1,000 jobs could not be verified.
        self._queue = Queue(QUEUE, url=url, default_job_options={"remove_on_complete": False})

    async def enqueue(self, job: Callable[..., Any], *args: Any) -> str:
        return (await self._queue.add(job.__name__, args)).id

    async def enqueue_many(self, job: Callable[..., Any], calls: Sequence[tuple[Any, ...]]) -> list[str]:
        pending = self._queue.pending()

        for call in calls:
            pending.add(job.__name__, call)

        return [each.id for each in await pending.flush()]

    async def fan_in(self, job: Callable[..., Any], calls: Sequence[tuple[Any, ...]]) -> list[str]:
        *others, last = calls
        children = [FlowChild(job.__name__, call) for call in others]

        return [(await self._queue.add_flow(job.__name__, last, children=children)).id]

    async def chain(self, job: Callable[..., Any], calls: Sequence[tuple[Any, ...]]) -> list[str]:
        *others, last = calls
        children: list[FlowChild] = []

        for call in others:
            children = [FlowChild(job.__name__, call, children=children)]

        return [(await self._queue.add_flow(job.__name__, last, children=children)).id]

    async def all_of(self, handles: Sequence[str]) -> list[str]:
        """It gives the id of a flow's last job only; each job knows those before it."""
        found: list[str] = []
        level = list(handles)

        while level:
            found = level + found
            known = [await self._queue.get_job(handle) for handle in level]
            level = [child for job in known for child in job.children_ids or []]

        return found

    async def result(self, handle: str) -> Any:
        return await self._queue.result(handle, timeout=30)

    async def look(self, handles: Sequence[str]) -> list[Seen]:
        found = [await self._queue.get_job(handle) for handle in handles]

        return [
            Seen(job.state == "completed", job.returnvalue if job.finished_on else job.data[0]) for job in found
        ]

    async def waiting(self) -> int:
        return (await self._queue.counts())["wait"]

    async def aclose(self) -> None:
        await self._queue.close()


async def _process(job: Job) -> Any:
    return await jobs.COROUTINES[job.name](*job.data)


async def work(
    url: str, concurrency: int | None, limit: int | None, ready: Callable[[], None], stop: asyncio.Event
) -> None:
    worker = ToroWorker(QUEUE, _process, url=url, **given(concurrency, "concurrency"))
    ready()
    await serve(worker.run(), stop)
