"""bullmq (the Python port): 100 jobs at once (1 by default); results come with its event stream.

Its flows are trees: a job can wait for many, and no two for the same one. So there is no fan-out, and no group.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

from bullmq import FlowProducer, Job, Queue, QueueEvents
from bullmq import Worker as BullWorker

from benchmarks import jobs
from benchmarks.systems import Seen, given, serve

QUEUE = "bench"
TUNED: dict[str, Any] = {}


class Client:
    def __init__(self, url: str) -> None:
        self._queue = Queue(QUEUE, {"connection": url})
        self._flows = FlowProducer({"connection": url})
        self._events = QueueEvents(QUEUE, {"connection": url, "lastEventId": "0"})
        self._events.on("completed", self._completed)
        self._results: dict[str, asyncio.Future[Any]] = {}

    async def enqueue(self, job: Callable[..., Any], *args: Any) -> str:
        return (await self._queue.add(job.__name__, args)).id

    async def enqueue_many(self, job: Callable[..., Any], calls: Sequence[tuple[Any, ...]]) -> list[str]:
        return [each.id for each in await self._queue.addBulk([{"name": job.__name__, "data": c} for c in calls])]

    async def fan_in(self, job: Callable[..., Any], calls: Sequence[tuple[Any, ...]]) -> list[str]:
        *others, last = [_node(job, call) for call in calls]
        tree = await self._flows.add(last | {"children": others})

        return [*(each["job"].id for each in tree["children"]), tree["job"].id]

    async def chain(self, job: Callable[..., Any], calls: Sequence[tuple[Any, ...]]) -> list[str]:
        first, *rest = [_node(job, call) for call in calls]

        for node in rest:
            first = node | {"children": [first]}

        tree, handles = await self._flows.add(first), []

        while tree:
            handles.append(tree["job"].id)
            (tree,) = tree.get("children", [None])

        return handles[::-1]

    async def result(self, handle: str) -> Any:
        value = await asyncio.wait_for(self._future(handle), 30)
        del self._results[handle]

        return value

    async def look(self, handles: Sequence[str]) -> list[Seen]:
        found = [await Job.fromId(self._queue, handle) for handle in handles]

        return [Seen(bool(job.finishedOn), job.returnvalue if job.finishedOn else job.data[0]) for job in found]

    async def waiting(self) -> int:
        return await self._queue.getWaitingCount()

    async def aclose(self) -> None:
        await self._events.close()
        await self._flows.close()
        await self._queue.close()

    def _completed(self, event: dict[str, Any], _: str) -> None:
        self._future(event["jobId"]).set_result(event["returnvalue"])

    def _future(self, handle: str) -> asyncio.Future[Any]:
        """An event may come before its result is asked for."""
        if handle not in self._results:
            self._results[handle] = asyncio.get_running_loop().create_future()

        return self._results[handle]


def _node(job: Callable[..., Any], call: tuple[Any, ...]) -> dict[str, Any]:
    return {"name": job.__name__, "queueName": QUEUE, "data": call}


async def _process(job: Job, _: str) -> Any:
    return await jobs.COROUTINES[job.name](*job.data)


async def work(
    url: str, concurrency: int | None, limit: int | None, ready: Callable[[], None], stop: asyncio.Event
) -> None:
    options = {"connection": url, "autorun": False, **given(concurrency, "concurrency")}
    worker = BullWorker(QUEUE, _process, options)
    ready()
    await serve(worker.run(), stop)
