from __future__ import annotations

import redis

from aioq.store import Store
from aioq.values.outcome import Finished, Interrupted, Retried
from aioq.values.record import JobRecord
from aioq.values.result import earlier_result
from tests.store.tools import clock, end, fields, put, start, take, unchanged


async def test_a_job_that_was_not_begun_goes_back_as_if_nothing_had_been(
    store: Store, client: redis.Redis
) -> None:
    claimed = await start(store)
    await put(store, "b", front=True)
    assert await end(store, (claimed, Interrupted(begun=False))) == ["ok"]
    first, again = await take(store)

    assert (first.record.id, again.record.id) == ("b", "a")
    assert (again.fence, again.record.attempt, again.record.deliveries) == (2, 1, 0)
    assert await store.reads.attempts("a") == []


async def test_a_run_that_was_begun_counts_as_a_delivery_and_not_as_an_attempt(
    store: Store, client: redis.Redis
) -> None:
    await end(store, (await start(store), Interrupted(begun=True)))
    (packed,) = await store.reads.attempts("a")
    kept = earlier_result(JobRecord("a", {}), packed)
    (again,) = await take(store)

    assert (again.record.attempt, again.record.deliveries) == (1, 1)
    assert (kept.type, kept.fence, kept.worker_name, kept.exc_info) == ("interrupted", 1, "w1", None)


async def test_a_run_that_was_interrupted_has_no_error_of_the_run_before_it(store: Store) -> None:
    await end(store, (await start(store), Retried("boom", 0)))
    (second,) = await take(store)
    await end(store, (second, Interrupted(begun=True)))
    first, interrupted = (earlier_result(JobRecord("a", {}), each) for each in await store.reads.attempts("a"))

    assert (first.exc_info, interrupted.type, interrupted.exc_info) == ("boom", "interrupted", None)


async def test_a_job_that_was_given_back_goes_before_those_in_the_main_lane(store: Store) -> None:
    await put(store, "a", "b")
    a, _ = await take(store)
    await put(store, "c")
    await end(store, (a, Interrupted(begun=True)))

    assert [each.record.id for each in await take(store)] == ["a", "c"]


async def test_the_same_call_twice_is_harmless(store: Store, client: redis.Redis) -> None:
    claimed = await start(store)
    await end(store, (claimed, Interrupted(begun=True)))

    with unchanged(client):
        assert await end(store, (claimed, Interrupted(begun=True))) == ["stale"]


async def test_a_run_that_has_lost_its_claim_gives_nothing_back(store: Store, client: redis.Redis) -> None:
    stale = await start(store)
    await end(store, (stale, Interrupted(begun=True)))
    (newer,) = await take(store)

    with unchanged(client):
        assert await end(store, (stale, Interrupted(begun=True))) == ["stale"]

    await end(store, (newer, Finished(b"p", 60_000)))

    with unchanged(client):
        assert await end(store, (newer, Interrupted(begun=True))) == ["stale"]

    await store.changes.delete(["a"])
    assert await end(store, (newer, Interrupted(begun=True))) == ["gone"]


async def test_a_ttl_begins_anew(store: Store, client: redis.Redis) -> None:
    claimed = await start(store, ttl_ms=60_000)
    before = clock(client)
    await end(store, (claimed, Interrupted(begun=False)))

    assert before + 60_000 <= int(fields(client, store)[b"expires_at"]) <= clock(client) + 60_000


async def test_giving_back_leaves_a_token(store: Store, client: redis.Redis) -> None:
    claimed = await start(store)
    client.delete(store.keys.wake)
    await end(store, (claimed, Interrupted(begun=True)))

    assert client.llen(store.keys.wake) == 1
