"""A Queue on `embedded://` gives up its share in the server when it is closed, and takes it again when used."""

from __future__ import annotations

import asyncio
import os
import threading
from pathlib import Path

import pytest

from aioq import Connection, Queue, Worker
from aioq.embedded.locks import USERS_LOCK, take
from tests import jobs
from tests.tools import RunningWorker, eventually, eventually_sync


def url(folder: Path) -> str:
    return f"embedded://{folder}/data"


def is_unused(folder: Path) -> bool:
    """Whether nobody has a share in the server, so that it has stopped or soon will."""
    lock = take(folder / "data" / USERS_LOCK)

    if lock is not None:
        os.close(lock)

    return lock is not None


async def use(queue: Queue, number: int) -> int:
    job = await queue.enqueue(jobs.add, number, 1)
    await Worker([queue]).run(burst=True)
    return await job.result(timeout=10)


def test_it_opens_again_in_every_form(tmp_path: Path) -> None:
    """In one event loop after another, and again and again in one; the server has stopped in between."""
    queue = Queue("default", url(tmp_path))

    async def again(times: int) -> None:
        for number in range(times):
            assert await use(queue, number) == number + 1
            assert not is_unused(tmp_path)
            await queue.aclose()
            await eventually(lambda: is_unused(tmp_path))

    asyncio.run(again(1))
    asyncio.run(again(2))


async def test_the_data_is_there_when_it_opens_again(tmp_path: Path) -> None:
    queue = Queue("default", url(tmp_path))
    job = await queue.enqueue(jobs.add, 1, 1)
    await queue.aclose()
    await eventually(lambda: not (tmp_path / "data" / "server.sock").exists())
    assert await queue.fetch_job(job.id) == job
    await queue.aclose()


async def test_the_server_stays_while_another_queue_of_the_folder_is_open(tmp_path: Path) -> None:
    one, two = Queue("one", url(tmp_path)), Queue("two", url(tmp_path))
    await one.enqueue(jobs.add, 1, 1)
    await two.enqueue(jobs.add, 1, 1)
    await one.aclose()
    await one.aclose()
    assert not is_unused(tmp_path)
    assert await two.count() == await one.count() == 1
    await two.aclose()
    assert not is_unused(tmp_path)  # the first one was used again
    await one.aclose()
    assert is_unused(tmp_path)


async def test_queues_that_share_a_connection_go_on_after_its_close(tmp_path: Path) -> None:
    shared = Connection(url(tmp_path))
    one, two = Queue("one", shared), Queue("two", shared)

    for number in range(3):
        await one.enqueue(jobs.add, number, 1)
        await two.aclose()  # the connection is not its own
        assert not is_unused(tmp_path)
        await shared.aclose()
        assert is_unused(tmp_path)
        assert await two.count() == 0
        assert await one.count() == number + 1

    await shared.aclose()


async def test_a_worker_keeps_the_server_of_a_queue_that_is_closed_meanwhile(tmp_path: Path) -> None:
    queue = Queue("default", url(tmp_path))

    async with RunningWorker([queue]):
        await queue.aclose()
        assert not is_unused(tmp_path)
        job = await queue.enqueue(jobs.add, 1, 2)
        assert await job.result(timeout=10) == 3

    await queue.aclose()
    assert is_unused(tmp_path)


async def test_a_worker_with_the_url_gives_up_the_share_when_it_ends(tmp_path: Path) -> None:
    for _ in range(2):
        assert await Worker("default", url(tmp_path)).run(burst=True) == 0
        assert is_unused(tmp_path)


async def test_the_server_stays_while_another_event_loop_uses_it(tmp_path: Path) -> None:
    queue = Queue("default", url(tmp_path))
    await queue.count()

    def in_another_loop() -> None:
        async def main() -> None:
            async with queue:
                await queue.enqueue(jobs.add, 1, 1)

        asyncio.run(main())

    thread = threading.Thread(target=in_another_loop)
    thread.start()
    await asyncio.to_thread(thread.join)
    assert not is_unused(tmp_path)
    assert await queue.count() == 1
    await queue.aclose()
    assert is_unused(tmp_path)


def test_the_folder_is_the_one_from_the_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A path that is not absolute is read once, wherever the process is later."""
    monkeypatch.chdir(tmp_path)
    queue = Queue("default", "embedded://data")
    asyncio.run(queue.enqueue(jobs.add, 1, 1))
    asyncio.run(queue.aclose())
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")

    async def count() -> int:
        async with queue:
            return await queue.count()

    assert asyncio.run(count()) == 1
    assert list((tmp_path / "elsewhere").iterdir()) == []
    eventually_sync(lambda: is_unused(tmp_path))
