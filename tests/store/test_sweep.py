"""Retention: what is past it is gone for every reader at once, and from the server soon."""

from __future__ import annotations

import pytest
import redis

from aioq.store import Store
from aioq.store.store import CHUNK
from aioq.values.outcome import Failed, Finished
from aioq.values.states import FINAL, JobStatus
from tests.store.tools import bring, clock, end, passed, put, start, take, unchanged


async def ended(store: Store, client: redis.Redis, ids: list[str], ttl_ms: int) -> None:
    await put(store, *ids)
    await end(store, *((each, Finished(b"p", ttl_ms)) for each in await take(store, limit=len(ids))))


async def test_what_is_past_its_retention_is_gone_before_any_sweep(store: Store, client: redis.Redis) -> None:
    await ended(store, client, ["a"], 20)
    await ended(store, client, ["b"], 60_000)
    await passed(client, clock(client) + 20)

    assert (await store.count()).finished == 1
    assert (await store.ids(JobStatus.FINISHED))[0] == ["b"]
    assert await store.load(["a"]) == [None]
    assert client.zcard(store.keys.finished) == 2


async def test_what_is_forgotten_and_not_swept_does_not_hide_the_next_job_with_its_id(
    store: Store, client: redis.Redis
) -> None:
    await ended(store, client, ["a"], 1)
    await passed(client, clock(client) + 1)
    await ended(store, client, ["a"], -1)
    await store.sweep()

    assert (await store.count()).finished == 1
    assert (await store.ids(JobStatus.FINISHED))[0] == ["a"]


async def test_a_sweep_takes_it_out_of_the_registry_and_its_companion(store: Store, client: redis.Redis) -> None:
    await ended(store, client, ["a"], 20)
    await ended(store, client, ["b"], 60_000)
    await passed(client, clock(client) + 20)
    assert await store.sweep() is False

    assert client.zrange(store.keys.finished, 0, -1) == [b"b"]
    assert client.zrange(store.keys.finished + b":until", 0, -1) == [b"b"]


async def test_a_sweep_changes_nothing_that_is_kept(store: Store, client: redis.Redis) -> None:
    await ended(store, client, ["a"], 60_000)
    await end(store, (await start(store, "b", failure_ttl=b"-1"), Failed("boom")))

    with unchanged(client):
        assert await store.sweep() is False


async def test_a_sweep_comes_back_for_more_than_it_takes_at_once(store: Store, client: redis.Redis) -> None:
    await ended(store, client, ["keep"], 60_000)
    await ended(store, client, [f"j{number}" for number in range(CHUNK + 50)], 1)
    await passed(client, clock(client) + 1)

    assert [await store.sweep(), await store.sweep(), await store.sweep()] == [True, False, False]
    assert client.zcard(store.keys.finished) == 1


@pytest.mark.parametrize("state", sorted(FINAL))
async def test_registries_go_by_themselves_if_nobody_ever_sweeps(
    state: JobStatus, store: Store, client: redis.Redis
) -> None:
    await bring(store, client, state)

    for key in (getattr(store.keys, state), getattr(store.keys, state) + b":until"):
        assert client.pexpiretime(key) >= client.pexpiretime(store.keys.job + b"a") > 0


async def test_a_registry_stays_as_long_as_its_longest_member(store: Store, client: redis.Redis) -> None:
    await ended(store, client, ["a"], 60_000)
    await ended(store, client, ["b"], 20)
    await passed(client, clock(client) + 30)

    assert (await store.ids(JobStatus.FINISHED))[0] == ["a"]


async def test_a_longer_retention_lets_a_registry_live_longer(store: Store, client: redis.Redis) -> None:
    await ended(store, client, ["a"], 5_000)
    await ended(store, client, ["b"], 60_000)

    assert client.pttl(store.keys.finished) > 50_000
    assert client.pttl(store.keys.finished + b":until") > 50_000
