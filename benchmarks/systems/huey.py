"""huey: its consumer with eight threads (1 by default); results are announced (polled by default).

It has no call for many jobs. Its client blocks, so there is no gather and no loop of many users.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

from huey import RedisHuey
from huey.exceptions import ResultTimeout

from benchmarks import jobs
from benchmarks.systems import Seen

TUNED: dict[str, Any] = {"settings": {"notify_result": True}, "worker": {"workers": 8, "periodic": False}}


def _app(url: str) -> tuple[RedisHuey, dict[str, Any]]:
    app = RedisHuey("bench", url=url, **TUNED.get("settings", {}))

    return app, {name: app.task(name=name)(function) for name, function in jobs.PLAIN.items()}


class Client:
    def __init__(self, url: str) -> None:
        self._app, self._tasks = _app(url)
        self._results: dict[str, Any] = {}

    async def enqueue(self, job: Callable[..., Any], *args: Any) -> str:
        result = self._tasks[job.__name__](*args)
        self._results[result.id] = result

        return result.id

    async def enqueue_many(self, job: Callable[..., Any], calls: Sequence[tuple[Any, ...]]) -> list[str]:
        return [await self.enqueue(job, *call) for call in calls]

    async def result(self, handle: str) -> Any:
        try:
            return self._results[handle].get(blocking=True, timeout=30, preserve=True)
        except ResultTimeout as error:
            raise TimeoutError from error

    async def look(self, handles: Sequence[str]) -> list[Seen]:
        queued = {task.id: task.args[0] for task in self._app.pending()}
        seen = []

        for handle in handles:
            value = self._app.result(handle, preserve=True)
            seen.append(Seen(False, queued.get(handle)) if value is None else Seen(True, value))

        return seen

    async def waiting(self) -> int:
        return self._app.pending_count()

    async def aclose(self) -> None:
        self._app.storage.close()


async def work(
    url: str, concurrency: int | None, limit: int | None, ready: Callable[[], None], stop: asyncio.Event
) -> None:
    app, _ = _app(url)
    consumer = app.create_consumer(**TUNED.get("worker", {}))
    ready()
    consumer.start()
    await stop.wait()
    consumer.stop()
