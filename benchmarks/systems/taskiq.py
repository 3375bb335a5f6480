"""taskiq with the stream broker and the result backend of taskiq-redis; 100 jobs at once and 100 more prefetched.

Arguments are not validated, and a result is looked for every 5 ms (200 by default). It has no call for many jobs.
Its latency is left out: with one job at a time, runs stopped early, because a delivered job was not begun.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

from redis.asyncio import Redis
from taskiq import AsyncTaskiqTask, TaskiqResultTimeoutError
from taskiq.api import run_receiver_task
from taskiq_redis import RedisAsyncResultBackend, RedisStreamBroker

from benchmarks import jobs
from benchmarks.systems import Seen, gather_many, given, serve

TUNED: dict[str, Any] = {
    "worker": {"max_prefetch": 100, "validate_params": False},
    "result": {"check_interval": 0.005},
}


def _broker(url: str) -> tuple[RedisStreamBroker, dict[Callable[..., Any], Any]]:
    broker = RedisStreamBroker(url).with_result_backend(RedisAsyncResultBackend(url))

    return broker, {function: broker.task(name)(function) for name, function in jobs.COROUTINES.items()}


class Client:
    def __init__(self, url: str) -> None:
        self._broker, self._tasks = _broker(url)
        self.open = self._broker.startup
        self.aclose = self._broker.shutdown

    async def enqueue(self, job: Callable[..., Any], *args: Any) -> str:
        return (await self._tasks[job].kiq(*args)).task_id

    async def enqueue_many(self, job: Callable[..., Any], calls: Sequence[tuple[Any, ...]]) -> list[str]:
        return await gather_many(self, job, calls)

    async def result(self, handle: str) -> Any:
        task = AsyncTaskiqTask(handle, self._broker.result_backend)

        try:
            return (await task.wait_result(timeout=30, **TUNED.get("result", {}))).return_value
        except TaskiqResultTimeoutError as error:
            raise TimeoutError from error

    async def look(self, handles: Sequence[str]) -> list[Seen]:
        backend, queued = self._broker.result_backend, await self._queued()
        seen = []

        for handle in handles:
            ended = await backend.is_result_ready(handle)
            value = (await backend.get_result(handle)).return_value if ended else queued.get(handle)
            seen.append(Seen(ended, value))

        return seen

    async def waiting(self) -> int:
        return len(await self._queued())

    async def _queued(self) -> dict[str, Any]:
        """The first argument of every job in its stream."""
        entries = await Redis(connection_pool=self._broker.connection_pool).xrange(self._broker.queue_name)
        messages = [self._broker.formatter.loads(fields[b"data"]) for _, fields in entries]

        return {message.task_id: message.args[0] for message in messages}


async def work(
    url: str, concurrency: int | None, limit: int | None, ready: Callable[[], None], stop: asyncio.Event
) -> None:
    broker, _ = _broker(url)
    await broker.startup()
    ready()
    await serve(
        run_receiver_task(broker, **given(concurrency, "max_async_tasks"), **TUNED.get("worker", {})), stop
    )
