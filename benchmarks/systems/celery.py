"""celery: its solo pool on a thread, 100 messages prefetched (4 by default), without gossip, mingle and heartbeat.

Its default pool is not measured: what runs in its processes cannot be counted. It has no call for many jobs. Its
client blocks, so there is no gather and no loop of many users.
"""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Callable, Sequence
from typing import Any

from celery import Celery, chain, chord, group
from celery.exceptions import TimeoutError as CeleryTimeoutError
from redis import Redis

from benchmarks import jobs
from benchmarks.systems import Seen, serve_on_thread

TUNED: dict[str, Any] = {
    "settings": {"worker_prefetch_multiplier": 100},
    "worker": {"without_gossip": True, "without_mingle": True, "without_heartbeat": True},
}


def _app(url: str) -> tuple[Celery, dict[str, Any]]:
    app = Celery("bench", broker=url, backend=url)
    app.conf.update(TUNED.get("settings", {}))

    return app, {name: app.task(function, name=name) for name, function in jobs.PLAIN.items()}


class Client:
    def __init__(self, url: str) -> None:
        self._app, self._tasks = _app(url)
        self._redis = Redis.from_url(url)
        self._results: dict[str, Any] = {}

    async def enqueue(self, job: Callable[..., Any], *args: Any) -> str:
        result = self._tasks[job.__name__].delay(*args)
        self._results[result.id] = result

        return result.id

    async def enqueue_many(self, job: Callable[..., Any], calls: Sequence[tuple[Any, ...]]) -> list[str]:
        return [await self.enqueue(job, *call) for call in calls]

    async def fan_out(self, job: Callable[..., Any], calls: Sequence[tuple[Any, ...]]) -> list[str]:
        first, *others = self._signatures(job, calls)
        results = [each.freeze() for each in others]

        return self._keep([first.apply_async(link=others), *results])

    async def fan_in(self, job: Callable[..., Any], calls: Sequence[tuple[Any, ...]]) -> list[str]:
        *others, last = self._signatures(job, calls)
        result = chord(others)(last)

        return self._keep([*result.parent.results, result])

    async def chain(self, job: Callable[..., Any], calls: Sequence[tuple[Any, ...]]) -> list[str]:
        result, results = chain(self._signatures(job, calls)).apply_async(), []

        while result:
            results.append(result)
            result = result.parent

        return self._keep(results[::-1])

    async def group(self, job: Callable[..., Any], calls: Sequence[tuple[Any, ...]]) -> list[str]:
        self._group = group(self._signatures(job, calls)).apply_async()

        return self._keep(self._group.results)

    async def ended(self) -> None:
        self._group.get()

    def _signatures(self, job: Callable[..., Any], calls: Sequence[tuple[Any, ...]]) -> list[Any]:
        """Calls that do not take the results of those before them."""
        return [self._tasks[job.__name__].si(*call) for call in calls]

    def _keep(self, results: Sequence[Any]) -> list[str]:
        self._results |= {result.id: result for result in results}

        return [result.id for result in results]

    async def result(self, handle: str) -> Any:
        try:
            return self._results[handle].get(timeout=30)
        except CeleryTimeoutError as error:
            raise TimeoutError from error

    async def look(self, handles: Sequence[str]) -> list[Seen]:
        queued = dict(map(_read, self._redis.lrange("celery", 0, -1)))
        results = [self._results[handle] for handle in handles]

        return [
            Seen(each.successful(), each.result if each.successful() else queued.get(each.id)) for each in results
        ]

    async def waiting(self) -> int:
        return self._redis.llen("celery")

    async def aclose(self) -> None:
        self._app.close()


def _read(message: bytes) -> tuple[str, Any]:
    """The id and the first argument of a message."""
    read = json.loads(message)

    return read["headers"]["id"], json.loads(base64.b64decode(read["body"]))[0][0]


async def work(
    url: str, concurrency: int | None, limit: int | None, ready: Callable[[], None], stop: asyncio.Event
) -> None:
    app, _ = _app(url)
    app.finalize()
    app.set_default()  # a thread has no current app of its own
    worker = app.WorkController(app=app, pool="solo", concurrency=1, **TUNED.get("worker", {}))
    ready()
    await serve_on_thread(worker.start, stop)
