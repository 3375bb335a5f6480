"""Registries stay free of jobs whose retention has passed, and a server that refuses ends nothing."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable

import pytest
import redis

from aioq.store import Connection, Store
from aioq.store.duty import JOBS_PER_CALL
from aioq.worker.sweeper import Sweeper
from tests.store.tools import clock
from tests.tools import eventually


@pytest.fixture
async def sweep() -> AsyncIterator[Callable[..., Sweeper]]:
    """Begins to sweep queues."""
    tasks: list[asyncio.Task[None]] = []

    def begin(*stores: Store) -> Sweeper:
        sweeper = Sweeper(stores)
        tasks.append(asyncio.create_task(sweeper.run()))
        return sweeper

    yield begin

    for task in tasks:
        task.cancel()

    await asyncio.gather(*tasks, return_exceptions=True)


@pytest.fixture(autouse=True)
def _short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("aioq.worker.sweeper.BUSY_PAUSE_S", 0.01)


def leave(raw: redis.Redis, store: Store, jobs: int) -> bytes:
    """Ids of jobs that are forgotten; the registry that has them."""
    key = store.keys["finished"]
    over = {f"a{number}": clock(raw) - 1 for number in range(jobs)}
    raw.zadd(key, over)
    raw.zadd(key + b":until", over)
    return key


async def test_more_than_a_call_takes_is_swept(sweep, connection: Connection, raw: redis.Redis) -> None:
    store = Store(connection, "default")
    key = leave(raw, store, 2 * JOBS_PER_CALL + 1)
    sweep(store)
    await eventually(lambda: not raw.exists(key))


async def test_it_sweeps_again_when_jobs_have_come(sweep, connection: Connection, raw: redis.Redis) -> None:
    store = Store(connection, "default")
    sweeper = sweep(store)
    await eventually(lambda: raw.info("commandstats").get("cmdstat_evalsha"))
    await asyncio.sleep(0.05)
    key = leave(raw, store, 3)
    await asyncio.sleep(0.1)
    assert raw.zcard(key) == 3  # none has come, so nothing ends
    sweeper.working.set()
    await eventually(lambda: not raw.exists(key))


async def test_a_queue_that_cannot_be_asked_holds_up_no_other(
    sweep, connection: Connection, raw: redis.Redis
) -> None:
    nowhere = Connection("redis://127.0.0.1:1")
    store = Store(connection, "default")
    key = leave(raw, store, 1)
    sweep(Store(nowhere, "away"), store)
    await eventually(lambda: not raw.exists(key))
    await nowhere.aclose()
