"""A worker and jobs that must run alone: it gets empty for one, and runs nothing of any queue beside it."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest
import redis

from aioq import Queue, ServerError, get_current_job
from aioq.store import Store
from aioq.worker.courier import Courier
from aioq.worker.route import Route
from tests.tools import RunningWorker, eventually

running: set[str] = set()
beside: dict[str, int] = {}


async def note(seconds: float) -> None:
    """Sleeps, and notes how many other jobs ran with it at any time."""
    own = get_current_job().id
    running.add(own)

    for other in running:
        beside[other] = max(beside.get(other, 0), len(running) - 1)

    try:
        await asyncio.sleep(seconds)
    finally:
        running.discard(own)


@pytest.fixture(autouse=True)
def forget() -> None:
    running.clear()
    beside.clear()


async def let_die(store: Store, client: redis.Redis, deaths: int) -> None:
    """All jobs that wait in the queue are on so many workers that die."""
    for number in range(deaths):
        await store.duty.join(f"dead{number}", 60_000)
        reply = await store.connection.call(store.duty.claim_command(f"dead{number}", 100))
        assert store.duty.read_claims(reply, "dead").jobs
        client.zadd(store.keys.leases, {f"dead{number}": 1})
        await store.duty.reclaim(f"dead{number}")


async def test_a_busy_worker_gets_empty_for_a_job_that_must_run_alone(queue: Queue, raw: redis.Redis) -> None:
    other = Queue("other", queue.connection)
    suspect = await queue.enqueue(note, 0.3)
    await let_die(queue.store, raw, 3)
    stop = time.monotonic() + 20

    async def keep_busy(each: Queue) -> None:
        while not suspect.is_finished and time.monotonic() < stop:
            await each.enqueue_many([Queue.prepare_data(note, (0.1,)) for _ in range(3)])
            await asyncio.sleep(0.05)
            await suspect.refresh()

    first = [await each.enqueue(note, 0.5) for each in (queue, other)]

    async with RunningWorker(["other", "default"], connection=queue.connection.url, concurrency=20):
        await asyncio.gather(keep_busy(queue), keep_busy(other))
        assert suspect.is_finished
        await eventually(lambda: is_empty(queue, other), timeout=20)

    assert beside[suspect.id] == 0
    assert max(beside[each.id] for each in first) > 0


async def test_it_stays_empty_until_the_end_of_that_job_is_recorded(
    queue: Queue, raw: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If the worker died before that, this job would be taken for the one that is to blame."""
    other = Queue("other", queue.connection)
    suspect = await queue.enqueue(note, 0.2)
    await let_die(queue.store, raw, 3)
    exchange, refused, is_refusing = Courier._exchange, [], True

    async def refuse(self: Courier, route: Route, ended: list[Any], *rest: Any) -> Any:
        if is_refusing and ended and route.store.queue == queue.name:
            refused.append(None)
            raise ServerError("refused")

        return await exchange(self, route, ended, *rest)

    monkeypatch.setattr(Courier, "_exchange", refuse)

    async with RunningWorker(["other", "default"], connection=queue.connection.url):
        await eventually(lambda: suspect.id in running)
        waiting = await other.enqueue(note, 0)
        await eventually(lambda: len(refused) == 3)
        assert await waiting.get_status() == "queued"
        is_refusing = False
        await waiting.result(20)
        assert await suspect.get_status() == "finished"


async def test_a_worker_has_at_most_ten_suspects_of_all_its_queues(queue: Queue, raw: redis.Redis) -> None:
    other = Queue("other", queue.connection)

    for each in (queue, other):
        await each.enqueue_many([Queue.prepare_data(note, (0.2,)) for _ in range(15)])
        await let_die(each.store, raw, 2)

    async with RunningWorker(["other", "default"], connection=queue.connection.url, concurrency=100):
        await eventually(lambda: is_empty(queue, other), timeout=20)

    assert len(beside) == 30
    assert max(beside.values()) == 9


async def test_a_burst_carries_out_what_is_in_quarantine(queue: Queue, raw: redis.Redis, burst) -> None:
    found = [await queue.enqueue(note, 0.05) for _ in range(15)]
    await let_die(queue.store, raw, 2)
    await burst()

    for job in found:
        await job.refresh()
        assert (job.is_finished, job.attempt, job.deliveries) == (True, 1, 2)

    alone = [await queue.enqueue(note, 0.05) for _ in range(4)]
    await let_die(queue.store, raw, 3)
    await burst()

    for job in alone:
        await job.refresh()
        assert (job.is_finished, beside[job.id]) == (True, 0)


async def is_empty(*queues: Queue) -> bool:
    return not any([await each.count() + await each.started_job_registry.count() for each in queues])
