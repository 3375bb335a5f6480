"""docket: 100 jobs at once; a worker whose slots are full looks again after 5 ms (250 by default)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any

from docket import Docket, Execution, Worker
from docket.execution import ExecutionState

from benchmarks import jobs
from benchmarks.systems import Seen, given, serve

NAME = "bench"
TUNED: dict[str, Any] = {"minimum_check_interval": timedelta(milliseconds=5)}


class Client:
    def __init__(self, url: str) -> None:
        self._docket = Docket(name=NAME, url=url)

    async def open(self) -> None:
        await self._docket.__aenter__()

    async def enqueue(self, job: Callable[..., Any], *args: Any) -> Execution:
        return await self._docket.add(job)(*args)

    async def enqueue_many(self, job: Callable[..., Any], calls: Sequence[tuple[Any, ...]]) -> list[Execution]:
        return await self._docket.add_many(self._docket.call(job)(*call) for call in calls)

    async def result(self, handle: Execution) -> Any:
        return await handle.get_result(timeout=timedelta(seconds=30))

    async def look(self, handles: Sequence[Execution]) -> list[Seen]:
        seen = []

        for handle in handles:
            found = await self._docket.get_execution(handle.key)
            ended = found is not None and found.state == ExecutionState.COMPLETED
            seen.append(Seen(ended, await found.get_result() if ended else found and found.args[0]))

        return seen

    async def waiting(self) -> int:
        async with self._docket.redis() as redis:
            return await redis.xlen(self._docket.stream_key)

    async def aclose(self) -> None:
        await self._docket.__aexit__(None, None, None)


async def work(
    url: str, concurrency: int | None, limit: int | None, ready: Callable[[], None], stop: asyncio.Event
) -> None:
    async with Docket(name=NAME, url=url) as docket:
        for function in jobs.COROUTINES.values():
            docket.register(function)

        async with Worker(docket, **given(concurrency, "concurrency"), **TUNED) as worker:
            ready()
            await serve(worker.run_forever(), stop)
