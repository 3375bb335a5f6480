"""rq: its SimpleWorker on a thread, one job after the other, with the timeouts for threads (a timer for each job).

Its default, a fork for each job, is not measured: what runs there cannot be counted. Nothing else is set. Its
client blocks, so there is no gather and no loop of many users. Its group is a list of jobs; nobody tells its end.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

from redis import Redis
from rq import Queue, SimpleWorker
from rq.group import Group
from rq.job import Job, JobStatus
from rq.timeouts import TimerDeathPenalty

from benchmarks import jobs
from benchmarks.systems import Seen, serve_on_thread
from benchmarks.systems.graphs import Graphs

TUNED: dict[str, Any] = {}


class Client(Graphs):
    def __init__(self, url: str) -> None:
        self._redis = Redis.from_url(url)
        self._queue = Queue("bench", connection=self._redis)

    async def enqueue(self, job: Callable[..., Any], *args: Any) -> str:
        return self._queue.enqueue(jobs.PLAIN[job.__name__], *args).id

    async def enqueue_many(self, job: Callable[..., Any], calls: Sequence[tuple[Any, ...]]) -> list[str]:
        function = jobs.PLAIN[job.__name__]

        return [each.id for each in self._queue.enqueue_many([Queue.prepare_data(function, c) for c in calls])]

    async def enqueue_after(
        self, job: Callable[..., Any], calls: Sequence[tuple[Any, ...]], others: Sequence[str]
    ) -> list[str]:
        function, after = jobs.PLAIN[job.__name__], list(others) or None
        prepared = [Queue.prepare_data(function, call, depends_on=after) for call in calls]

        return [each.id for each in self._queue.enqueue_many(prepared)]

    async def group(self, job: Callable[..., Any], calls: Sequence[tuple[Any, ...]]) -> list[str]:
        prepared = [Queue.prepare_data(jobs.PLAIN[job.__name__], call) for call in calls]

        return [each.id for each in Group.create(self._redis).enqueue_many(self._queue, prepared)]

    async def result(self, handle: str) -> Any:
        result = Job.fetch(handle, connection=self._redis).latest_result(timeout=30)

        if result is None:
            raise TimeoutError

        return result.return_value

    async def look(self, handles: Sequence[str]) -> list[Seen]:
        seen = []

        for job in Job.fetch_many(handles, connection=self._redis):
            ended = job.get_status(refresh=False) == JobStatus.FINISHED
            seen.append(Seen(ended, job.return_value() if ended else job.args[0]))

        return seen

    async def waiting(self) -> int:
        return self._queue.count

    async def aclose(self) -> None:
        self._redis.close()


class _Worker(SimpleWorker):
    death_penalty_class = TimerDeathPenalty

    def _install_signal_handlers(self) -> None:
        """Only a main thread can have them."""


async def work(
    url: str, concurrency: int | None, limit: int | None, ready: Callable[[], None], stop: asyncio.Event
) -> None:
    redis = Redis.from_url(url)
    worker = _Worker([Queue("bench", connection=redis)], connection=redis)
    ready()
    await serve_on_thread(lambda: worker.work(logging_level="ERROR"), stop)
