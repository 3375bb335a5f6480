from __future__ import annotations

import pytest
import redis

from aioq.store import Store
from aioq.values.outcome import Finished, Retried
from aioq.values.states import JobStatus
from tests.store.tools import (
    LATE,
    bring,
    claim,
    clock,
    end,
    fields,
    listening,
    passed,
    put,
    start,
    take,
    unchanged,
)


@pytest.mark.parametrize("state", ["queued", "scheduled", "started"])
async def test_a_live_job_remembers_who_waits(state: str, store: Store, client: redis.Redis) -> None:
    await bring(store, client, state)

    assert await store.producing.wait("one", ["a"]) == [-1]
    assert fields(client, store)[b"after"] == b"@one"


async def test_the_same_call_twice_is_harmless(store: Store, client: redis.Redis) -> None:
    await put(store, "a")
    await store.producing.wait("one", ["a"])

    with unchanged(client):
        await store.producing.wait("one", ["a"])


async def test_a_channel_that_is_the_beginning_of_another_one_is_another_one(
    store: Store, client: redis.Redis
) -> None:
    await put(store, "a")

    for channel in ("one", "on", "one-two", "o.e"):
        await store.producing.wait(channel, ["a"])

    assert fields(client, store)[b"after"] == b"@one @on @one-two @o.e"


@pytest.mark.parametrize("state", [*(state.value for state in JobStatus if state.is_final), LATE])
async def test_a_job_that_has_ended_is_answered_at_once(state: str, store: Store, client: redis.Redis) -> None:
    await bring(store, client, state)

    with unchanged(client):
        (standing,) = await store.producing.wait("one", ["a"])

    assert isinstance(standing, dict)
    assert standing[b"status"].decode() == ("expired" if state == LATE else state)
    assert standing[b"ended_at"].isdigit()


async def test_a_job_that_is_gone_is_answered_with_nothing(store: Store, client: redis.Redis) -> None:
    with unchanged(client):
        assert await store.producing.wait("one", ["a"]) == [{}]


async def test_many_jobs_are_answered_in_their_order(store: Store, client: redis.Redis) -> None:
    await bring(store, client, "finished", "a")
    await put(store, "b")
    ended, live, gone = await store.producing.wait("one", ["a", "b", "c"])

    assert isinstance(ended, dict)
    assert (ended[b"result"], live, gone) == (b"pr", -1, {})


async def test_the_time_until_a_queued_job_expires_is_told(store: Store) -> None:
    await put(store, "a", ttl_ms=60_000)
    (standing,) = await store.producing.wait("one", ["a"])

    assert isinstance(standing, int)
    assert 50_000 < standing <= 60_000


async def test_a_wait_for_a_job_that_may_expire_later_is_asked_again_in_time(store: Store) -> None:
    await put(store, "scheduled", ttl_ms=5_000, due="+60000")
    await start(store, "started", ttl_ms=5_000)
    scheduled, started = await store.producing.wait("one", ["scheduled", "started"])

    assert isinstance(scheduled, int)
    assert isinstance(started, int)
    assert 60_000 < scheduled <= 65_000
    assert started == 5_000


async def test_a_tiny_ttl_does_not_make_a_wait_ask_all_the_time(store: Store, client: redis.Redis) -> None:
    await start(store, "started", ttl_ms=60_000)
    await put(store, "scheduled", ttl_ms=1, due="0")
    client.hset(store.keys.job + b"started", "ttl", "1")

    assert await store.producing.wait("one", ["scheduled", "started"]) == [1_000, 1_000]


async def test_waiters_stay_through_retries_and_are_told_at_the_end(store: Store, client: redis.Redis) -> None:
    claimed = await start(store)
    await store.producing.wait("one", ["a"])
    await end(store, (claimed, Retried("boom", 60_000)))
    client.zadd(store.keys.scheduled, {"a": 1}, xx=True)
    (claimed,) = await take(store)
    await store.producing.wait("two", ["a"])

    with listening(client, "one", "two") as messages:
        await end(store, (claimed, Finished(b"\n\x00 p", 60_000)))

        assert messages() == [b"a finished 4\n\n\x00 p"] * 2

    assert b"after" not in fields(client, store)


async def test_a_requeued_job_tells_only_those_who_wait_anew(store: Store, client: redis.Redis) -> None:
    await put(store, "a")
    await store.producing.wait("one", ["a"])
    await store.changes.cancel("a")
    await store.changes.requeue(["a"], at_front=False, reset=True)
    await store.producing.wait("two", ["a"])
    (claimed,) = await take(store)

    with listening(client, "one", "two") as messages:
        await end(store, (claimed, Finished(b"p", 60_000)))

        assert messages() == [b"a finished 1\np"]


async def test_waiting_does_not_change_when_a_job_goes(store: Store, client: redis.Redis) -> None:
    await put(store, "a", ttl_ms=60_000)
    before = client.pexpiretime(store.keys.job + b"a")
    await store.producing.wait("one", ["a"])

    assert client.pexpiretime(store.keys.job + b"a") == before
    await passed(client, clock(client))
    assert len((await claim(store)).jobs) == 0
