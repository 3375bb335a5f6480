"""dramatiq: its worker with eight threads (the default) in this process, and its Redis result backend.

It has no call for many jobs. Its client blocks, so there is no gather and no loop of many users.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

import dramatiq
from dramatiq.brokers.redis import RedisBroker
from dramatiq.message import Message
from dramatiq.results import ResultMissing, Results, ResultTimeout
from dramatiq.results.backends import RedisBackend

from benchmarks import jobs
from benchmarks.systems import Seen, serve_on_thread

TUNED: dict[str, Any] = {}


class _App:
    def __init__(self, url: str) -> None:
        self.backend, self.broker = RedisBackend(url=url), RedisBroker(url=url)
        self.broker.add_middleware(Results(backend=self.backend))
        self.actors = {
            name: dramatiq.actor(function, broker=self.broker, actor_name=name, store_results=True)
            for name, function in jobs.PLAIN.items()
        }


class Client:
    def __init__(self, url: str) -> None:
        self._app = _App(url)
        self._messages: dict[str, Any] = {}

    async def enqueue(self, job: Callable[..., Any], *args: Any) -> str:
        message = self._app.actors[job.__name__].send(*args)
        self._messages[message.message_id] = message

        return message.message_id

    async def enqueue_many(self, job: Callable[..., Any], calls: Sequence[tuple[Any, ...]]) -> list[str]:
        return [await self.enqueue(job, *call) for call in calls]

    async def result(self, handle: str) -> Any:
        try:
            return self._messages[handle].get_result(backend=self._app.backend, block=True, timeout=30_000)
        except ResultTimeout as error:
            raise TimeoutError from error

    async def look(self, handles: Sequence[str]) -> list[Seen]:
        raw = self._app.broker.client.hgetall("dramatiq:default.msgs").values()
        queued = {message.message_id: message.args[0] for message in map(Message.decode, raw)}
        seen = []

        for handle in handles:
            try:
                seen.append(Seen(True, self._messages[handle].get_result(backend=self._app.backend)))
            except ResultMissing:
                seen.append(Seen(False, queued.get(handle)))

        return seen

    async def waiting(self) -> int:
        return self._app.broker.client.llen("dramatiq:default")

    async def aclose(self) -> None:
        self._app.broker.close()


async def work(
    url: str, concurrency: int | None, limit: int | None, ready: Callable[[], None], stop: asyncio.Event
) -> None:
    worker = dramatiq.Worker(_App(url).broker)
    ready()
    await serve_on_thread(worker.start, stop)
