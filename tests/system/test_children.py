"""Plain functions and coroutines of one worker that enqueue and wait by one Queue of their module."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from aioq import Queue
from tests.conftest import Server
from tests.system.processes import WorkerProcess
from tests.tools import eventually

CHILDREN = "tests.system.children"


@pytest.fixture
async def workers(
    server: Server, environment: dict[str, str], spawn: Callable[..., WorkerProcess]
) -> list[WorkerProcess]:
    """One for the parents, and one for their children."""
    environment["AIOQ_REDIS_URL"] = server.url

    return [
        await spawn(concurrency=20, job_processes=2, shutdown_timeout=1),
        await spawn(queues="children", shutdown_timeout=1),
    ]


@pytest.mark.parametrize("executor", [None, "process"])
async def test_plain_jobs_enqueue_and_wait_beside_coroutines(
    queue: Queue, workers: list[WorkerProcess], executor: str | None
) -> None:
    plain = queue.using(job_timeout=20, executor=executor) if executor else queue.using(job_timeout=20)
    made = []

    for number in range(10):
        made.append(await plain.enqueue(f"{CHILDREN}.parent", number))
        made.append(await plain.enqueue(f"{CHILDREN}.waiting_parent", number))
        made.append(await queue.enqueue(f"{CHILDREN}.coroutine_parent", number, job_timeout=20))

    found = await asyncio.gather(*(job.result(timeout=40) for job in made))
    assert found[1::3] == found[2::3] == [2 * number for number in range(10)]

    children = Queue("children", queue.connection)
    handles = await children.fetch_many(found[::3])
    ended = await asyncio.gather(*(job.result(timeout=20) for job in handles))
    assert ended == [2 * number for number in range(10)]


async def test_a_plain_job_saves_its_meta_in_an_event_loop_of_its_own(
    queue: Queue, workers: list[WorkerProcess]
) -> None:
    made = [await queue.enqueue(f"{CHILDREN}.notes_itself", number, job_timeout=10) for number in range(10)]
    await asyncio.gather(*(job.result(timeout=20) for job in made))

    for number, job in enumerate(made):
        assert (await job.get_meta())["number"] == number

    # The worker's own connections were left alone, and it goes on.
    job = await queue.enqueue(f"{CHILDREN}.coroutine_parent", 4, job_timeout=10)
    assert await job.result(timeout=20) == 8


async def test_connections_of_plain_jobs_go_with_them(
    queue: Queue, workers: list[WorkerProcess], server: Server
) -> None:
    async def some() -> None:
        made = [await queue.enqueue(f"{CHILDREN}.waiting_parent", number, job_timeout=20) for number in range(20)]
        await asyncio.gather(*(job.result(timeout=40) for job in made))

    await some()

    with server.client() as client:
        before = len(client.client_list())
        await some()
        await eventually(lambda: len(client.client_list()) <= before)
