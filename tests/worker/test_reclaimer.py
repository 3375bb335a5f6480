"""What a worker does for those that were lost: their jobs come back, once, and the worker claims them."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator

import pytest
import redis

from aioq.store import Connection, Store
from aioq.values.beat import Beat
from aioq.worker.reclaimer import Reclaimer
from tests.store.tools import clock, put, status, take
from tests.tools import eventually


class Told:
    """A reclaimer that runs, and how often it told its worker to ask for jobs."""

    def __init__(self) -> None:
        self.times = 0
        self.reclaimer = Reclaimer(self.tell)

    def tell(self) -> None:
        self.times += 1


@pytest.fixture
async def told() -> AsyncIterator[Told]:
    told = Told()
    task = asyncio.create_task(told.reclaimer.run())
    yield told
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


@pytest.fixture
def client(raw: redis.Redis) -> redis.Redis:
    return raw


def lost(*workers: str) -> Beat:
    return Beat(lapsed=False, next_end_ms=-1, lost=list(workers))


async def lose(store: Store, client: redis.Redis, *ids: str, worker: str = "gone") -> None:
    """A worker takes jobs, and its lease ends."""
    await put(store, *ids)
    assert len(await take(store, worker)) == len(ids)
    client.zadd(store.keys.leases, {worker: clock(client) - 1})


async def test_the_jobs_of_a_lost_worker_go_back_and_the_worker_is_told(
    told: Told, connection: Connection, client: redis.Redis, caplog: pytest.LogCaptureFixture
) -> None:
    store = Store(connection, "default")
    await lose(store, client, "a", "b")
    told.reclaimer.note([store], [lost("gone")])
    await eventually(lambda: told.times)
    assert [await status(store, each) for each in ("a", "b")] == ["queued", "queued"]
    assert "worker gone was lost: 2 jobs of queue default went back, 0 failed" in caplog.text


async def test_each_beat_belongs_to_the_queue_at_its_place(
    told: Told, connection: Connection, client: redis.Redis
) -> None:
    first, second = Store(connection, "first"), Store(connection, "second")
    await lose(first, client, "a")
    await lose(second, client, "b")
    told.reclaimer.note([first, second], [lost(), lost("gone")])
    await eventually(lambda: told.times)
    assert [await status(first, "a"), await status(second, "b")] == ["started", "queued"]


async def test_a_worker_that_is_known_to_be_lost_is_reclaimed_once(
    told: Told, connection: Connection, client: redis.Redis
) -> None:
    store = Store(connection, "default")
    await lose(store, client, "a")

    for _ in range(3):  # heartbeats find it dead until its jobs are back
        told.reclaimer.note([store], [lost("gone")])

    told.reclaimer.note([store], [lost("other")])
    await eventually(lambda: told.times == 2)
    told.reclaimer.note([store], [lost("gone")])  # it may be lost again later
    await eventually(lambda: told.times == 3)


async def test_a_server_that_cannot_be_asked_ends_nothing(
    told: Told, connection: Connection, client: redis.Redis, caplog: pytest.LogCaptureFixture
) -> None:
    nowhere = Connection("redis://127.0.0.1:1")
    store = Store(connection, "default")
    await lose(store, client, "a")
    told.reclaimer.note([Store(nowhere, "away"), store], [lost("gone"), lost("gone")])
    await eventually(lambda: told.times)
    assert "the jobs of worker gone could not be reclaimed yet" in caplog.text
    assert await status(store, "a") == "queued"
    await nowhere.aclose()


async def test_a_job_whose_workers_died_too_often_fails_and_is_told(
    told: Told, connection: Connection, client: redis.Redis, caplog: pytest.LogCaptureFixture
) -> None:
    store = Store(connection, "default")
    await put(store, "a")

    async def fails() -> bool:
        """A worker takes the job and dies. Whether the job has failed."""
        await take(store, "gone")
        client.zadd(store.keys.leases, {"gone": clock(client) - 1})
        before = told.times
        told.reclaimer.note([store], [lost("gone")])
        await eventually(lambda: told.times > before)

        return await status(store, "a") == "failed"

    await eventually(fails)
    records = [each for each in caplog.records if getattr(each, "job_id", "") == "a"]
    assert [(each.levelno, each.outcome, each.worker) for each in records] == [(logging.ERROR, "failed", "gone")]
