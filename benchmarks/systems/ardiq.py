"""ardiq: its workers run 500 jobs at once, which was its fastest; all else is as it comes.

Other event loops, sockets, ways to wait for a result, prefetch and block times brought its users no more. They
are in a table of docs/benchmarks.md.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

from ardiq import Ardiq

from benchmarks import jobs
from benchmarks.systems import Seen, given, serve

QUEUE = "bench"
TUNED: dict[str, Any] = {}


class Client:
    def __init__(self, url: str) -> None:
        self._app = Ardiq(url, QUEUE)
        self._tasks = {name: self._app.task(function) for name, function in jobs.COROUTINES.items()}
        self.waiting = self._app.queue_size

    async def enqueue(self, job: Callable[..., Any], *args: Any) -> str:
        return (await self._tasks[job.__name__].enqueue(*args)).id

    async def enqueue_many(self, job: Callable[..., Any], calls: Sequence[tuple[Any, ...]]) -> list[str]:
        prepare = self._tasks[job.__name__].prepare

        return [each.id for each in await self._app.enqueue_many(prepare(*call) for call in calls)]

    async def result(self, handle: str) -> Any:
        return (await self._app.result(handle, timeout=30)).value

    async def look(self, handles: Sequence[str]) -> list[Seen]:
        return [await self._look(handle) for handle in handles]

    async def _look(self, handle: str) -> Seen:
        if (found := await self._app.result(handle)) is not None:
            return Seen(found.success, found.value)

        info = await self._app.info(handle)

        return Seen(False, info and info.args[0])

    async def aclose(self) -> None:
        """It closes by itself."""


async def work(
    url: str, concurrency: int | None, limit: int | None, ready: Callable[[], None], stop: asyncio.Event
) -> None:
    app = Ardiq(url, QUEUE, **given(concurrency, "concurrency"))

    for function in jobs.COROUTINES.values():
        app.task(function)

    ready()
    await serve(app.run(), stop)
