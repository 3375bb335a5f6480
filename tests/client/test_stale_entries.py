"""What a registry lists and nothing is stored of: it is told as gone, and not listed any longer."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import pytest
import redis

from aioq import Job, NoSuchJobError, Queue
from aioq.store import Connection, Store
from aioq.types import Registry
from tests.conftest import Server
from tests.store.tools import bring
from tests.tools import assert_sound

REQUEUEABLE = ("failed", "canceled", "stopped", "expired")
STATES = ("scheduled", "finished", *REQUEUEABLE)

#: Retentions other than the usual ones keep a job in the registry itself, and not beside it.
KEPT = {"usual": {}, "own": {"failure_ttl": b"60000"}, "for ever": {"failure_ttl": b"-1"}}


@pytest.fixture
def client(server: Server) -> Iterator[redis.Redis]:
    """A plain client, undecoded."""
    with redis.Redis.from_url(server.url) as client:
        yield client


@pytest.fixture
def store(connection: Connection) -> Store:
    return Store(connection, "default")


async def lose(store: Store, client: redis.Redis, state: str, *ids: str, **options: Any) -> None:
    """Jobs in a state whose records have gone by themselves."""
    for each in ids:
        await bring(store, client, state, each, **options)
        client.delete(f"aioq:{{default}}:job:{each}", f"aioq:{{default}}:attempts:{each}")


def registry_of(queue: Queue, state: str) -> Registry:
    registry: Registry = getattr(queue, f"{state}_job_registry")
    return registry


@pytest.mark.parametrize("state", REQUEUEABLE)
async def test_requeue_all_passes_over_what_is_gone_and_ends(
    queue: Queue, store: Store, client: redis.Redis, state: str
) -> None:
    await bring(store, client, state, "first")
    await lose(store, client, state, *(f"gone{number}" for number in range(5)))
    await bring(store, client, state, "last")
    registry = registry_of(queue, state)
    seen: list[int] = []

    if state == "expired":
        for each in ("first", "last"):
            client.hset(f"aioq:{{default}}:job:{each}", "ttl", 60_000)  # else they would soon be expired again

    assert await registry.count() == 7
    assert await registry.requeue_all(progress=seen.append) == 2
    assert (await registry.count(), await registry.job_ids(), sum(seen)) == (0, [], 2)
    assert await queue.job_ids() == ["first", "last"]
    assert await registry.requeue_all() == 0
    await assert_sound(queue)


@pytest.mark.chaos
async def test_requeue_all_goes_through_more_than_a_chunk_of_it(queue: Queue, client: redis.Redis) -> None:
    made = await queue.enqueue_many([Queue.prepare_data("time.time") for _ in range(1200)])

    for job in made:
        await job.cancel()

    client.delete(*(f"aioq:{{default}}:job:{job.id}" for job in made[:1100]))

    assert await queue.canceled_job_registry.requeue_all() == 100
    assert await queue.canceled_job_registry.count() == 0
    assert await queue.job_ids() == [job.id for job in made[1100:]]


async def test_names_that_nobody_can_name_hide_no_job_from_a_requeue_or_a_delete(
    queue: Queue, client: redis.Redis
) -> None:
    made = await queue.enqueue_many([Queue.prepare_data("time.time") for _ in range(2)])

    for job in made:
        await job.cancel()

    damaged = {b"\xff%d" % number: 1 for number in range(1100)}
    client.zadd("aioq:{default}:canceled", damaged)  # they stand first

    assert await queue.canceled_job_registry.requeue_all() == 2
    assert await queue.job_ids() == [job.id for job in made]

    for job in made:
        await job.cancel()

    assert await queue.delete() == 2
    assert await queue.fetch_many(made) == [None, None]
    client.delete("aioq:{default}:canceled")


@pytest.mark.parametrize("kept", KEPT)
@pytest.mark.parametrize("state", ["failed", "stopped"])
async def test_every_index_of_a_registry_is_left(
    queue: Queue, store: Store, client: redis.Redis, state: str, kept: str
) -> None:
    await lose(store, client, state, "a", **KEPT[kept])

    assert await queue.requeue(["a", "never"]) == {"a": "gone", "never": "gone"}
    assert [client.zcard(name) for name in client.keys(f"aioq:{{default}}:{state}*")] == []
    await assert_sound(queue)


Act = Callable[[Queue, Job[Any], Registry], Awaitable[object]]
ACTS: dict[str, Act] = {
    "cancel": lambda _queue, job, _registry: job.cancel(),
    "stop": lambda _queue, job, _registry: job.stop(),
    "delete": lambda _queue, job, _registry: job.delete(),
    "requeue": lambda _queue, job, _registry: job.requeue(),
    "remove": lambda _queue, job, registry: registry.remove(job.id),
    "registry's requeue": lambda _queue, job, registry: registry.requeue(job.id),
}


@pytest.mark.parametrize("act", ACTS)
@pytest.mark.parametrize("state", STATES)
async def test_whoever_acts_on_it_is_told_that_it_is_gone_and_it_is_listed_no_more(
    queue: Queue, store: Store, client: redis.Redis, state: str, act: str
) -> None:
    await bring(store, client, state, "a")
    job = await queue.fetch_job("a")
    assert job is not None
    client.delete("aioq:{default}:job:a", "aioq:{default}:attempts:a")
    registry = registry_of(queue, state)
    assert await registry.count() == 1

    with pytest.raises(NoSuchJobError):
        await ACTS[act](queue, job, registry)

    assert (await registry.count(), await registry.job_ids()) == (0, [])
    await assert_sound(queue)


async def test_a_registry_that_lists_a_job_of_another_state_lists_it_no_more(
    queue: Queue, store: Store, client: redis.Redis
) -> None:
    await bring(store, client, "finished", "a")
    client.zadd("aioq:{default}:failed:usual", {"a": 2e12})
    client.expire("aioq:{default}:failed:usual", 60)

    assert await queue.failed_job_registry.requeue_all() == 0
    assert await queue.failed_job_registry.job_ids() == []
    assert await queue.finished_job_registry.job_ids() == ["a"]
