"""An idle worker: it hears of each job at once, asks for next to nothing, and leaves tokens to others."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from datetime import timedelta
from statistics import median_low as median
from types import SimpleNamespace
from typing import Any

import pytest
import redis

from aioq import Queue
from aioq.store import Connection, Store
from aioq.worker.demand import Demand, Limits
from aioq.worker.route import Route
from aioq.worker.waker import Waker
from tests import jobs
from tests.conftest import Server
from tests.tools import eventually
from tests.worker.notes import gates, hold, notes


async def test_an_idle_worker_hears_of_each_of_its_queues(
    queue: Queue, start_worker, connection: Connection
) -> None:
    await start_worker("a", "b", "default")
    for name in ("b", "a", "default", "b"):
        job = await Queue(name, connection).enqueue(jobs.add, 1, 2)
        begun = time.monotonic()
        assert await job.result(5) == 3
        assert time.monotonic() - begun < 1


async def test_a_worker_that_was_idle_for_long_reacts_at_once(
    queue: Queue, start_worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("aioq.worker.waker.BLOCK_S", 1)  # so the wait spans several of its blocking reads
    await start_worker()
    await asyncio.sleep(2.3)
    delays = []
    for _ in range(5):
        job = await queue.enqueue(jobs.noop)
        await job.result(5)
        await job.refresh()
        delays.append(job.started_at - job.created_at)
    assert median(delays) < timedelta(milliseconds=50)
    assert max(delays) < timedelta(milliseconds=500)


async def test_an_idle_worker_asks_the_server_next_to_nothing(
    queue: Queue, start_worker, raw: redis.Redis
) -> None:
    await start_worker("default", "other")
    await asyncio.sleep(0.3)
    raw.config_resetstat()
    await asyncio.sleep(1)
    stats = raw.info("commandstats")
    assert sum(stats[name]["calls"] for name in stats if "config" not in name) < 20


async def test_another_worker_takes_over_when_one_is_full(queue: Queue, start_worker, key: str) -> None:
    for _ in range(3):
        await start_worker(concurrency=1)
    made = [await queue.enqueue(hold, key) for _ in range(3)]
    await eventually(lambda: notes[key] == ["begun"] * 3, timeout=2)
    gates[key].set()
    for job in made:
        await job.result(5)


# With a demand of the test's own


@pytest.fixture
async def woken(server: Server, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[tuple[Route, Demand, Any]]:
    """A waker of one queue; its worker expects no jobs and is idle."""
    connection = Connection(server.url)
    route, demand = Route(connection, Store(connection, "default"), "w", 5_000), Demand(2, Limits())
    slots: Any = SimpleNamespace(running=0, concurrency=2)
    monkeypatch.setattr("aioq.worker.waker.BLOCK_S", 1)
    demand.expects_jobs = False
    task = asyncio.create_task(Waker(connection, [route], demand, slots).run())

    yield route, demand, slots

    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    await connection.aclose()


async def test_a_token_is_a_hint_to_an_idle_worker(woken: tuple[Route, Demand, Any], raw: redis.Redis) -> None:
    route, demand, _ = woken
    demand.idle.set()
    await route.store.changes.wake()
    await eventually(lambda: demand.expects_jobs)
    assert not raw.exists(route.store.keys.wake)


@pytest.mark.parametrize("reason", ["full", "reserved", "stopping"])
async def test_a_worker_that_became_busy_meanwhile_leaves_the_token_to_another(
    woken: tuple[Route, Demand, Any], raw: redis.Redis, reason: str
) -> None:
    route, demand, slots = woken
    demand.idle.set()
    await eventually(lambda: _blocks(raw))
    demand.idle.clear()

    if reason == "full":
        slots.running = 2
    elif reason == "reserved":
        demand.reserved_for = route
    else:
        demand.limits.claiming = False

    hints = demand.hints
    await route.store.changes.wake()
    await eventually(lambda: raw.llen(route.store.keys.wake) == 1 and not _blocks(raw))
    assert (demand.expects_jobs, demand.hints) == (False, hints)
    raw.delete(route.store.keys.wake)


async def test_a_worker_that_may_claim_nothing_takes_no_token(
    woken: tuple[Route, Demand, Any], raw: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("aioq.worker.waker.BARRED_CHECK_S", 0.01)
    route, demand, _ = woken
    route.is_barred = True
    demand.idle.set()
    await route.store.changes.wake()
    await asyncio.sleep(0.1)
    assert raw.llen(route.store.keys.wake) == 1
    route.is_barred = False
    await eventually(lambda: demand.expects_jobs)
    assert raw.llen(route.store.keys.wake) == 0


async def test_a_worker_that_hears_nothing_for_long_asks_all_the_same(
    woken: tuple[Route, Demand, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("aioq.worker.waker.LONGEST_QUIET_S", 1)
    _, demand, _ = woken
    demand.idle.set()
    await eventually(lambda: demand.expects_jobs, timeout=15)


def _blocks(raw: redis.Redis) -> bool:
    """Whether a client waits for a token."""
    return raw.info("clients")["blocked_clients"] > 0
