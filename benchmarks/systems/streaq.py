"""streaq: 100 jobs at once; coredis without its checks at run time, and jobs that are not logged.

The users are left out: of a hundred results that are awaited at once, none came within 30 s. It has no groups.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

import coredis
from streaq import Worker

from benchmarks import jobs
from benchmarks.systems import Seen, given, serve
from benchmarks.systems.graphs import Graphs

#: How many results are looked at side by side.
ABREAST = 10

TUNED: dict[str, Any] = {"task": {"silent": True}, "optimized": True}


def _worker(url: str, **options: Any) -> tuple[Worker, dict[str, Any]]:
    coredis.Config.optimized = TUNED.get("optimized", False)
    worker = Worker(redis_url=url, queue_name="bench", handle_signals=False, **options)
    task = worker.task(**TUNED.get("task", {}))

    return worker, {name: task(function) for name, function in jobs.COROUTINES.items()}


class Client(Graphs):
    def __init__(self, url: str) -> None:
        self._worker, self._tasks = _worker(url)

    async def open(self) -> None:
        await self._worker.__aenter__()

    async def enqueue(self, job: Callable[..., Any], *args: Any) -> str:
        return (await self._tasks[job.__name__].enqueue(*args)).id

    async def enqueue_many(self, job: Callable[..., Any], calls: Sequence[tuple[Any, ...]]) -> list[str]:
        tasks = [self._tasks[job.__name__].enqueue(*call) for call in calls]
        await self._worker.enqueue_many(tasks)

        return [task.id for task in tasks]

    async def enqueue_after(
        self, job: Callable[..., Any], calls: Sequence[tuple[Any, ...]], others: Sequence[str]
    ) -> list[str]:
        """Its call for many jobs sends them in their order, so those they wait for are there before them."""
        tasks = [self._tasks[job.__name__].enqueue(*call).start(after=others) for call in calls]
        await self._worker.enqueue_many(tasks)

        return [task.id for task in tasks]

    async def result(self, handle: str) -> Any:
        return (await self._worker.result_by_id(handle, 30)).result

    async def look(self, handles: Sequence[str]) -> list[Seen]:
        async def see(handle: str) -> Seen:
            info = await self._worker.info_by_id(handle)

            return Seen(False, info.args[0]) if info else Seen(True, await self.result(handle))

        seen: list[Seen] = []

        for start in range(0, len(handles), ABREAST):  # a result that is there takes a tenth of a second
            seen += await asyncio.gather(*map(see, handles[start : start + ABREAST]))

        return seen

    async def waiting(self) -> int:
        return await self._worker.queue_size()

    async def aclose(self) -> None:
        await self._worker.__aexit__(None, None, None)


async def work(
    url: str, concurrency: int | None, limit: int | None, ready: Callable[[], None], stop: asyncio.Event
) -> None:
    worker, _ = _worker(url, **given(concurrency, "concurrency"))
    ready()
    await serve(worker.run_async(), stop)
