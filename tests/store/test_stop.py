from __future__ import annotations

import pytest
import redis

from aioq.store import Store
from aioq.values.options import FAILURE_TTL_MS
from aioq.values.outcome import Failed, Finished, Retried
from tests.store.tools import DAY_MS, LATE, bring, clock, end, fields, listening, start, status, take, unchanged


async def test_a_run_is_ended_and_its_worker_told(store: Store, client: redis.Redis) -> None:
    claimed = await start(store)
    before = clock(client)

    with listening(client, "aioq:control:w1") as messages:
        assert await store.changes.stop("a") == ("ok", "")

        assert messages() == [b"stopped aioq:{default}:job:a 1"]

    stored = fields(client, store)
    assert stored[b"status"] == b"stopped"
    assert before <= int(stored[b"ended_at"]) <= clock(client)
    assert client.pexpiretime(store.keys.job + b"a") == int(stored[b"ended_at"]) + FAILURE_TTL_MS
    assert client.xlen(store.keys.front) == 0

    with unchanged(client):
        assert await end(store, (claimed, Failed("it was cancelled"))) == ["stale"]
        assert await end(store, (claimed, Finished(b"p", 60_000))) == ["stale"]


@pytest.mark.parametrize("state", ["queued", "scheduled", "finished", "failed", "canceled", "expired", LATE])
async def test_a_job_that_does_not_run_refuses_with_its_state(
    state: str, store: Store, client: redis.Redis
) -> None:
    await bring(store, client, state)

    with unchanged(client):
        assert await store.changes.stop("a") == ("refused", "expired" if state == LATE else state)


async def test_a_job_that_is_gone_is_told_as_that(store: Store, client: redis.Redis) -> None:
    with unchanged(client):
        assert await store.changes.stop("a") == ("gone", "")


async def test_the_same_call_twice_is_harmless(store: Store, client: redis.Redis) -> None:
    await bring(store, client, "stopped")

    with unchanged(client):
        assert await store.changes.stop("a") == ("already", "")


@pytest.mark.parametrize(("own", "ends"), [(b"5000", True), (b"-1", False)])
async def test_a_job_s_own_retention_goes_first(own: bytes, ends: bool, store: Store, client: redis.Redis) -> None:
    await start(store, failure_ttl=own)
    await store.changes.stop("a")

    assert (0 < client.pttl(store.keys.job + b"a") <= 5_000) is ends
    assert (0 < client.pttl(store.keys["stopped"]) <= DAY_MS + 5_000) is ends


async def test_a_stopped_job_without_retention_is_deleted_and_those_who_wait_hear_of_it(
    store: Store, client: redis.Redis
) -> None:
    await bring(store, client, "stopped", "kept")
    await start(store, failure_ttl=b"0")
    await store.producing.wait("one", ["a"])

    with listening(client, "one") as messages:
        assert await store.changes.stop("a") == ("ok", "")

        assert messages() == [b"a stopped 0\n"]

    assert await status(store) is None
    assert (await store.reads.count())["stopped"] == 1
    assert client.zrange(store.keys["stopped"] + b":usual", 0, -1) == [b"kept"]
    assert not client.exists(store.keys["stopped"], store.keys["stopped"] + b":until")


async def test_a_history_ends_with_the_stopped_job(store: Store, client: redis.Redis) -> None:
    await end(store, (await start(store), Retried("boom", 0)))
    await take(store)
    await store.changes.stop("a")

    assert client.pexpiretime(store.keys.attempts + b"a") == client.pexpiretime(store.keys.job + b"a") > 0


async def test_those_who_wait_are_told(store: Store, client: redis.Redis) -> None:
    await start(store)
    await store.producing.wait("one", ["a"])

    with listening(client, "one") as messages:
        await store.changes.stop("a")

        assert messages() == [b"a stopped 0\n"]

    assert b"after" not in fields(client, store)
