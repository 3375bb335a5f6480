"""repid: 100 jobs at once, 100 messages read at once (10 by default).

It stores no results, so there are no users and no time to a result. It has no call for many jobs.
"""

from __future__ import annotations

import asyncio
import inspect
import json
import signal
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

from redis.asyncio import Redis
from repid import RedisServer, Repid, Router

from benchmarks import jobs
from benchmarks.systems import Seen, gather_many, given

CHANNEL, STREAM = "bench", "repid:bench"
TUNED: dict[str, Any] = {"batch_size": 100}


def _app(url: str) -> tuple[Repid, RedisServer]:
    app, server = Repid(), RedisServer(url, **TUNED)
    app.servers.register_server("bench", server, is_default=True)

    return app, server


class Client:
    """A handle is a number and the job's first argument, because its messages have no id."""

    def __init__(self, url: str) -> None:
        self._app, self._server = _app(url)
        self._names = {name: list(inspect.signature(job).parameters) for name, job in jobs.COROUTINES.items()}
        self._count = 0
        self._url = url
        self.open = self._server.connect
        self.aclose = self._server.disconnect

    async def enqueue(self, job: Callable[..., Any], *args: Any) -> tuple[int, Any]:
        payload = dict(zip(self._names[job.__name__], args, strict=True))
        await self._app.send_message_json(channel=CHANNEL, payload=payload, headers={"topic": job.__name__})
        self._count += 1

        return self._count, args[0]

    async def enqueue_many(
        self, job: Callable[..., Any], calls: Sequence[tuple[Any, ...]]
    ) -> list[tuple[int, Any]]:
        return await gather_many(self, job, calls)

    async def look(self, handles: Sequence[tuple[int, Any]]) -> list[Seen]:
        entries = await Redis.from_url(self._url).xrange(STREAM)
        queued = Counter(json.loads(fields[b"payload"])["index"] for _, fields in entries)
        expected = Counter(value for _, value in handles)

        return [Seen(False, value if queued[value] == expected[value] else None) for _, value in handles]

    async def waiting(self) -> int:
        return await Redis.from_url(self._url).xlen(STREAM)


async def work(
    url: str, concurrency: int | None, limit: int | None, ready: Callable[[], None], stop: asyncio.Event
) -> None:
    app, server = _app(url)
    router = Router()

    for name, function in jobs.COROUTINES.items():
        router.actor(function, name=name, channel=CHANNEL)

    app.include_router(router)

    async with server.connection():
        working = asyncio.create_task(app.run_worker(**given(concurrency, "tasks_limit")))
        ready()
        await stop.wait()
        signal.raise_signal(signal.SIGTERM)  # it reports a cancelled worker as an error
        await working
