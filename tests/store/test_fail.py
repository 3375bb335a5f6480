from __future__ import annotations

import pytest
import redis

from aioq.store import Store
from aioq.values.options import FAILURE_TTL_MS
from aioq.values.outcome import Failed, Finished, Retried
from tests.store.tools import DAY_MS, clock, end, fields, listening, put, start, status, take, unchanged


async def test_a_failed_job_keeps_its_error_and_leaves_its_lane(store: Store, client: redis.Redis) -> None:
    claimed = await start(store)
    before = clock(client)
    assert await end(store, (claimed, Failed("Traceback …\nboom"))) == ["ok"]
    stored = fields(client, store)
    ended_at = int(stored[b"ended_at"])

    assert (stored[b"status"], stored[b"error"].decode()) == (b"failed", "Traceback …\nboom")
    assert before <= ended_at <= clock(client)
    assert client.xlen(store.keys.front) == 0
    assert client.pexpiretime(store.keys.job + b"a") == ended_at + FAILURE_TTL_MS
    assert int(client.zscore(store.keys["failed"] + b":usual", "a")) == ended_at


async def test_a_job_s_own_retention_goes_first(store: Store, client: redis.Redis) -> None:
    await end(store, (await start(store, failure_ttl=b"5000"), Failed("boom")))

    assert 0 < client.pttl(store.keys.job + b"a") <= 5_000
    assert DAY_MS < client.pttl(store.keys["failed"]) <= DAY_MS + 5_000


async def test_a_failure_can_be_kept_for_ever(store: Store, client: redis.Redis) -> None:
    await end(store, (await start(store, failure_ttl=b"-1"), Failed("boom")))

    assert client.ttl(store.keys.job + b"a") == client.ttl(store.keys["failed"]) == -1


async def test_a_failure_without_retention_is_deleted_and_those_who_wait_hear_all_of_it(
    store: Store, client: redis.Redis
) -> None:
    await end(store, (await start(store, failure_ttl=b"0"), Retried("first", 0)))
    (second,) = await take(store)
    await store.producing.wait("one", ["a"])

    with listening(client, "one") as messages:
        assert await end(store, (second, Failed("x" * 5_000))) == ["ok"]

        assert messages() == [b"a failed 5000\n" + b"x" * 5_000]

    assert await status(store) is None
    assert not client.exists(store.keys.job + b"a", store.keys.attempts + b"a", store.keys["failed"])
    assert await end(store, (second, Failed("x" * 5_000))) == ["gone"]


async def test_the_same_call_twice_is_harmless(store: Store, client: redis.Redis) -> None:
    claimed = await start(store)
    await end(store, (claimed, Failed("boom")))

    with unchanged(client):
        assert await end(store, (claimed, Failed("boom"))) == ["already"]


async def test_a_run_that_has_lost_its_claim_records_nothing(store: Store, client: redis.Redis) -> None:
    stale = await start(store)
    await end(store, (stale, Retried("boom", 0)))
    await take(store)

    with unchanged(client):
        assert await end(store, (stale, Failed("late"))) == ["stale"]
        assert await end(store, (stale._replace(fence=7), Failed("late"))) == ["stale"]


@pytest.mark.parametrize("verb", ["cancel", "stop", "finish"])
async def test_a_run_that_was_ended_otherwise_is_not_recorded_over_it(
    verb: str, store: Store, client: redis.Redis
) -> None:
    claimed = await start(store)

    if verb == "finish":
        await end(store, (claimed, Finished(b"p", 60_000)))
    else:
        await getattr(store.changes, verb)("a")

    with unchanged(client):
        assert await end(store, (claimed, Failed("boom"))) == ["stale"]


async def test_different_retentions_of_one_call_are_each_kept(store: Store, client: redis.Redis) -> None:
    for job_id, own in (("a", b"5000"), ("b", b"-1"), ("c", b"0"), ("d", b"60000")):
        await put(store, job_id, failure_ttl=own)

    claims = await take(store)
    assert await end(store, *((each, Failed("boom")) for each in claims)) == ["ok"] * 4
    assert [await status(store, each) for each in "abcd"] == ["failed", "failed", None, "failed"]
    assert 0 < client.pttl(store.keys.job + b"a") <= 5_000
    assert client.ttl(store.keys.job + b"b") == -1
    assert client.pttl(store.keys.job + b"d") > 50_000
    assert client.ttl(store.keys["failed"]) == client.ttl(store.keys["failed"] + b":until") == -1
    assert await store.changes.requeue(["b"], at_front=False, reset=True) == ["ok"]
    assert client.pexpiretime(store.keys["failed"]) == client.pexpiretime(store.keys.job + b"d") + DAY_MS


async def test_the_history_of_a_failed_job_ends_with_it(store: Store, client: redis.Redis) -> None:
    await end(store, (await start(store), Retried("first", 0)))
    (second,) = await take(store)
    await end(store, (second, Failed("second")))

    assert len(await store.reads.attempts("a")) == 1
    assert client.pexpiretime(store.keys.attempts + b"a") == client.pexpiretime(store.keys.job + b"a") > 0


async def test_an_error_of_any_bytes_is_kept_and_told(store: Store, client: redis.Redis) -> None:
    text = "".join(chr(each) for each in range(1, 256)) + "\n1 2\n"
    claimed = await start(store)
    await store.producing.wait("one", ["a"])

    with listening(client, "one") as messages:
        await end(store, (claimed, Failed(text)))
        packed = text.encode()

        assert messages() == [b"a failed %d\n" % len(packed) + packed]

    assert fields(client, store)[b"error"] == packed
