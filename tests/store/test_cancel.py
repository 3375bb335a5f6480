from __future__ import annotations

import pytest
import redis

from aioq.store import Store
from aioq.values.options import CANCELED_TTL_MS
from aioq.values.outcome import Finished, Retried
from aioq.values.states import JobStatus, allows
from tests.store.tools import (
    LATE,
    bring,
    clock,
    end,
    fields,
    listening,
    passed,
    put,
    start,
    status,
    take,
    unchanged,
)

CANCELABLE = [state.value for state in JobStatus if allows(state, "cancel")]


@pytest.mark.parametrize("state", CANCELABLE)
async def test_a_job_that_can_be_canceled_leaves_its_place_and_enters_the_registry(
    state: str, store: Store, client: redis.Redis
) -> None:
    await bring(store, client, state)
    before = clock(client)
    assert await store.changes.cancel("a") == ("ok", "")
    stored = fields(client, store)
    counts = await store.reads.count()

    assert stored[b"status"] == b"canceled"
    assert before <= int(stored[b"ended_at"]) <= clock(client)
    assert sum(counts.jobs.values()) == counts["canceled"] == 1
    assert client.pexpiretime(store.keys.job + b"a") == int(stored[b"ended_at"]) + CANCELED_TTL_MS
    assert await take(store) == []


async def test_a_queued_job_with_a_ttl_has_no_deadline_any_more(store: Store, client: redis.Redis) -> None:
    await put(store, "a", ttl_ms=20)
    await store.changes.cancel("a")
    await passed(client, clock(client) + 20)

    assert not client.exists(store.keys.expiring)
    assert await status(store) == "canceled"
    assert await take(store) == []
    assert await status(store) == "canceled"


@pytest.mark.parametrize("state", ["finished", "stopped", "expired", LATE])
async def test_a_job_that_has_ended_refuses_with_its_state(state: str, store: Store, client: redis.Redis) -> None:
    await bring(store, client, state)

    with unchanged(client):
        assert await store.changes.cancel("a") == ("refused", "expired" if state == LATE else state)


async def test_a_job_that_is_gone_is_told_as_that(store: Store, client: redis.Redis) -> None:
    with unchanged(client):
        assert await store.changes.cancel("a") == ("gone", "")


@pytest.mark.parametrize("state", CANCELABLE)
async def test_the_same_call_twice_is_harmless(state: str, store: Store, client: redis.Redis) -> None:
    await bring(store, client, state)
    await store.changes.cancel("a")

    with unchanged(client):
        assert await store.changes.cancel("a") == ("already", "")


async def test_the_worker_that_runs_the_job_is_told_and_what_it_returns_is_not_recorded(
    store: Store, client: redis.Redis
) -> None:
    claimed = await start(store)

    with listening(client, "aioq:control:w1") as messages:
        await store.changes.cancel("a")

        assert messages() == [b"canceled aioq:{default}:job:a 1"]

    with unchanged(client):
        assert await end(store, (claimed, Finished(b"p", 60_000))) == ["stale"]


async def test_a_history_ends_with_the_canceled_job(store: Store, client: redis.Redis) -> None:
    await end(store, (await start(store), Retried("boom", 60_000)))
    await store.changes.cancel("a")

    assert client.pexpiretime(store.keys.attempts + b"a") == client.pexpiretime(store.keys.job + b"a") > 0


@pytest.mark.parametrize("state", CANCELABLE[:-1])
async def test_those_who_wait_are_told(state: str, store: Store, client: redis.Redis) -> None:
    await bring(store, client, state)
    await store.producing.wait("one", ["a"])

    with listening(client, "one") as messages:
        await store.changes.cancel("a")

        assert messages() == [b"a canceled 0\n"]

    assert b"after" not in fields(client, store)


async def test_a_failed_job_keeps_its_error_when_it_is_canceled(store: Store, client: redis.Redis) -> None:
    await bring(store, client, "failed")
    await store.changes.cancel("a")

    assert fields(client, store)[b"error"] == b"boom"
    assert not client.exists(store.keys["failed"])
