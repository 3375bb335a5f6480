"""arq: 100 jobs at once; its queue is polled every 10 ms (500 by default), and a result every 5 ms (500)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

from arq import create_pool, func
from arq.connections import RedisSettings
from arq.jobs import Job, JobResult
from arq.worker import Worker

from benchmarks import jobs
from benchmarks.systems import Seen, gather_many, given, serve

TUNED: dict[str, Any] = {"worker": {"poll_delay": 0.01}, "result": {"poll_delay": 0.005}}


class Client:
    def __init__(self, url: str) -> None:
        self._settings = RedisSettings.from_dsn(url)

    async def open(self) -> None:
        self._pool = await create_pool(self._settings)

    async def enqueue(self, job: Callable[..., Any], *args: Any) -> str:
        return (await self._pool.enqueue_job(job.__name__, *args)).job_id

    async def enqueue_many(self, job: Callable[..., Any], calls: Sequence[tuple[Any, ...]]) -> list[str]:
        return await gather_many(self, job, calls)

    async def result(self, handle: str) -> Any:
        return await Job(handle, self._pool).result(30, **TUNED.get("result", {}))

    async def look(self, handles: Sequence[str]) -> list[Seen]:
        seen = []

        for handle in handles:
            info = await Job(handle, self._pool).info()
            ended = isinstance(info, JobResult)
            seen.append(Seen(ended, info.result if ended else info and info.args[0]))

        return seen

    async def waiting(self) -> int:
        return await self._pool.zcard(self._pool.default_queue_name)

    async def aclose(self) -> None:
        await self._pool.aclose()


def _task(function: Callable[..., Any]) -> Callable[..., Any]:
    """Its jobs take a context."""

    async def task(_: Any, *args: Any) -> Any:
        return await function(*args)

    return task


async def work(
    url: str, concurrency: int | None, limit: int | None, ready: Callable[[], None], stop: asyncio.Event
) -> None:
    worker = Worker(
        functions=[func(_task(function), name=name) for name, function in jobs.COROUTINES.items()],
        redis_settings=RedisSettings.from_dsn(url),
        handle_signals=False,
        **given(concurrency, "max_jobs"),
        **TUNED.get("worker", {}),
    )
    ready()
    await serve(worker.async_run(), stop)
