from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator

import pytest
import redis

from aioq import Queue, Worker
from tests import jobs
from tests.cli.tools import Cli
from tests.conftest import Server


@pytest.fixture
def bare(server: Server) -> Iterator[redis.Redis]:
    """A client for bytes. What the test leaves behind is removed: it is not aioq's."""
    with redis.Redis.from_url(server.url) as client:
        yield client
        client.flushall()


@pytest.fixture
def cli(server: Server, environment: dict[str, str]) -> Cli:
    return Cli(server.url, environment)


@pytest.fixture
def populate(server: Server) -> Callable[..., Awaitable[list[str]]]:
    """Fills a queue with jobs in every state; their ids."""

    async def fill(queue: Queue, **options: object) -> list[str]:
        made = []

        async def put(func: object, *args: object, **more: object) -> str:
            made.append((await queue.enqueue(func, *args, meta={"a": 1}, **more)).id)
            return made[-1]

        for _ in range(3):
            await put(jobs.add, 1, 2)
            await put(jobs.div_by_zero, 1)
            await put(jobs.div_by_zero, 1, retry=1, failure_ttl=60)
            await put(jobs.add, 1, 2, ttl=0.001)

        await asyncio.sleep(0.002)
        await Worker(queue.name, server.url, **options).run(burst=True)

        for _ in range(2):
            await (await queue.fetch_job(await put(jobs.noop))).cancel()
            await put(jobs.add, 1, 2)
            await put(jobs.add, 1, 2, at_front=True, ttl=60)
            await put(jobs.add, 1, 2, retry=3, job_timeout=5, description="d")
            job = await queue.enqueue_in(0.05, jobs.add, 1, 2)
            made.append(job.id)
            made.append((await queue.enqueue_in(3600, jobs.add, 1, 2)).id)

        return made

    return fill
