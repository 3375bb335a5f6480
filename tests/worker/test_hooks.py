"""Functions that a worker calls at its start and after its last run."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from aioq import InvalidInput, Queue, Worker
from aioq.errors import WorkerError
from tests import jobs
from tests.tools import eventually
from tests.worker.notes import note, notes


def noting(key: str, word: str) -> Any:
    async def hook(worker: Worker) -> None:
        await note(key, (word, worker.queue_names))

    return hook


async def test_they_are_called_inside_of_the_lifespan_and_around_all_runs(queue: Queue, server, key: str) -> None:
    @asynccontextmanager
    async def lifespan() -> AsyncIterator[None]:
        await note(key, "opens")
        yield
        await note(key, "closes")

    def plain(_: Worker) -> None:
        notes[key].append("plain")

    await queue.enqueue(note, key, "runs")
    worker = Worker(
        "default",
        server.url,
        lifespan=lifespan,
        on_startup=[noting(key, "starts"), plain],
        on_shutdown=noting(key, "stops"),
    )
    await worker.run(burst=True)
    assert notes[key] == ["opens", ("starts", ["default"]), "plain", "runs", ("stops", ["default"]), "closes"]


async def test_without_a_lifespan_there_are_no_resources(queue: Queue, server, key: str) -> None:
    job = await queue.enqueue("tests.worker.test_lifespan.use_pool")
    await Worker("default", server.url, on_startup=[noting(key, "starts")]).run(burst=True)
    await job.refresh()
    assert "this worker has no lifespan" in (job.exc_info or "")


def broken(_: Worker) -> None:
    raise OSError("no room")


async def test_a_failing_start_claims_nothing_and_closes_what_is_open(queue: Queue, server, key: str) -> None:
    @asynccontextmanager
    async def lifespan() -> AsyncIterator[None]:
        try:
            yield
        finally:
            await note(key, "closes")

    await queue.enqueue(jobs.add, 1, 2)
    worker = Worker("default", server.url, lifespan=lifespan, on_startup=[broken, noting(key, "starts")])

    with pytest.raises(
        WorkerError, match=r"on_startup tests.worker.test_hooks.broken has failed: OSError: no room"
    ):
        await worker.run(burst=True)

    assert notes[key] == ["closes"]
    assert await queue.count() == 1


async def test_a_failing_end_leaves_out_none_of_the_others(queue: Queue, server, key: str) -> None:
    worker = Worker("default", server.url, on_shutdown=[broken, noting(key, "stops")])

    with pytest.raises(
        WorkerError, match=r"on_shutdown tests.worker.test_hooks.broken has failed: OSError: no room"
    ):
        await worker.run(burst=True)

    assert len(notes[key]) == 1


async def test_a_stop_during_the_start_is_obeyed(queue: Queue, server, key: str) -> None:
    async def slow(_: Worker) -> None:
        await note(key, "starts")
        await asyncio.sleep(60)

    worker = Worker("default", server.url, on_startup=[slow])
    running = asyncio.create_task(worker.run())
    await eventually(lambda: bool(notes[key]))
    worker.request_stop()
    assert await asyncio.wait_for(running, 10) == 0


def takes_nothing() -> None: ...


@pytest.mark.parametrize("name", ["on_startup", "on_shutdown"])
@pytest.mark.parametrize("given", [None, 5, "shop.hook", [takes_nothing], [None]])
def test_what_is_no_hook_is_refused(name: str, given: Any) -> None:
    with pytest.raises(InvalidInput, match=rf"{name}\[0\]=.*called with the worker"):
        Worker("default", **{name: given})
