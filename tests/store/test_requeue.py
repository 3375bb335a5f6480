from __future__ import annotations

import pytest
import redis

from aioq.store import Store
from aioq.values.options import EXPIRED_TTL_MS
from aioq.values.outcome import Failed, Finished, Interrupted, Retried
from aioq.values.record import JobRecord
from aioq.values.result import earlier_result
from aioq.values.states import JobStatus
from tests.store.tools import LATE, bring, clock, end, fields, passed, put, start, status, take, unchanged

ENDED = pytest.mark.parametrize("state", ["failed", "canceled", "stopped", "expired", LATE])


async def requeue(store: Store, *ids: str, at_front: bool = False, reset: bool = True) -> list[str]:
    return await store.changes.requeue(list(ids), at_front=at_front, reset=reset)


@ENDED
async def test_an_ended_job_leaves_its_registry_and_enters_the_lane(
    state: str, store: Store, client: redis.Redis
) -> None:
    await bring(store, client, state, data=bytes(range(256)))
    client.hset(store.keys.job + b"a", "ttl", "60000")
    before = clock(client)
    assert await requeue(store, "a") == ["ok"]
    stored = fields(client, store)
    counts = await store.reads.count()

    assert stored[b"status"] == b"queued"
    assert stored[b"data"] == bytes(range(256))
    assert before <= int(stored[b"enqueued_at"]) <= clock(client)
    assert not {b"error", b"ended_at", b"started_at", b"worker", b"due_at"} & set(stored)
    assert sum(counts.jobs.values()) == counts.queued == 1

    for name in ("failed", "canceled", "stopped", "expired"):
        assert not client.exists(store.keys[name], store.keys[name] + b":until")


@pytest.mark.parametrize("state", ["failed", "canceled", "stopped"])
async def test_the_retention_is_taken_off(state: str, store: Store, client: redis.Redis) -> None:
    await bring(store, client, state)
    await requeue(store, "a")

    assert client.ttl(store.keys.job + b"a") == -1


@pytest.mark.parametrize("state", ["expired", LATE])
async def test_the_ttl_of_a_requeued_job_begins_anew(state: str, store: Store, client: redis.Redis) -> None:
    await bring(store, client, state)
    client.hset(store.keys.job + b"a", "ttl", "60000")
    before = clock(client)
    await requeue(store, "a")
    deadline = int(fields(client, store)[b"expires_at"])

    assert before + 60_000 <= deadline <= clock(client) + 60_000
    assert client.pexpiretime(store.keys.job + b"a") == deadline + EXPIRED_TTL_MS
    assert [each.record.id for each in await take(store)] == ["a"]


@pytest.mark.parametrize("state", ["queued", "scheduled", "started", "finished"])
async def test_a_job_that_has_not_ended_so_refuses_with_its_state(
    state: str, store: Store, client: redis.Redis
) -> None:
    await bring(store, client, state)

    with unchanged(client):
        assert await requeue(store, "a") == [state]


async def test_a_job_that_is_gone_is_told_as_that(store: Store, client: redis.Redis) -> None:
    with unchanged(client):
        assert await requeue(store, "a", "b") == ["gone", "gone"]


@ENDED
async def test_the_same_call_twice_moves_the_job_once(state: str, store: Store, client: redis.Redis) -> None:
    await bring(store, client, state)
    client.hset(store.keys.job + b"a", "ttl", "60000")
    assert await requeue(store, "a") == ["ok"]

    with unchanged(client):
        assert await requeue(store, "a") == ["queued"]

    assert await requeue(store, "a", "a") == ["queued", "queued"]


async def test_a_call_that_was_repeated_does_not_bring_back_what_failed_again(
    store: Store, client: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its first reply was lost, and the job was claimed and has failed before the second came."""
    monkeypatch.setattr("secrets.token_hex", lambda _: "the same call")
    await bring(store, client, "failed")
    assert await requeue(store, "a", "a") == ["ok", "queued"]
    (claim,) = await take(store)
    await end(store, (claim, Failed("again")))

    with unchanged(client):
        assert await requeue(store, "a", "a") == ["ok", "queued"]

    monkeypatch.undo()
    assert await requeue(store, "a") == ["ok"]


async def test_an_id_twice_in_one_call_moves_the_job_once(store: Store, client: redis.Redis) -> None:
    await bring(store, client, "failed")

    assert await requeue(store, "a", "a") == ["ok", "queued"]
    assert (await store.reads.count()).queued == 1


async def test_a_bad_id_does_not_stop_the_others(store: Store, client: redis.Redis) -> None:
    for state in ("failed", "finished", "started"):
        await bring(store, client, state, state)

    assert await requeue(store, "started", "gone", "failed", "finished") == ["started", "gone", "ok", "finished"]


@pytest.mark.parametrize("front", [False, True])
async def test_a_job_goes_where_it_is_sent(front: bool, store: Store, client: redis.Redis) -> None:
    await bring(store, client, "failed")
    await put(store, "b")
    await requeue(store, "a", at_front=front)

    assert [each.record.id for each in await take(store)] == (["a", "b"] if front else ["b", "a"])


async def test_a_reset_gives_all_attempts_anew(store: Store, client: redis.Redis) -> None:
    claimed = await start(store)
    await end(store, (claimed, Interrupted(begun=True)))
    (claimed,) = await take(store)
    await end(store, (claimed, Retried("one", 0)))
    (claimed,) = await take(store)
    await end(store, (claimed, Failed("two")))
    await requeue(store, "a")
    (again,) = await take(store)

    assert (again.fence, again.record.attempt, again.record.deliveries) == (4, 1, 0)


async def test_without_a_reset_attempts_go_on_counting(store: Store, client: redis.Redis) -> None:
    claimed = await start(store)
    await end(store, (claimed, Interrupted(begun=True)))
    (claimed,) = await take(store)
    await end(store, (claimed, Failed("one")))
    await requeue(store, "a", reset=False)
    (again,) = await take(store)

    assert (again.fence, again.record.attempt, again.record.deliveries) == (3, 2, 1)


async def test_the_last_run_moves_to_the_history_which_does_not_end_any_more(
    store: Store, client: redis.Redis
) -> None:
    claimed = await start(store)
    await end(store, (claimed, Retried("one", 0)))
    (claimed,) = await take(store)
    await end(store, (claimed, Failed("two")))
    ended_at = fields(client, store)[b"ended_at"]
    await requeue(store, "a")
    kept = [earlier_result(JobRecord("a", {}), each) for each in await store.reads.attempts("a")]

    assert [(each.type, each.fence, each.exc_info) for each in kept] == [
        ("failed", 1, "one"),
        ("failed", 2, "two"),
    ]
    assert kept[1].ended_at is not None
    assert round(kept[1].ended_at.timestamp() * 1000) == int(ended_at)
    assert client.ttl(store.keys.attempts + b"a") == -1


async def test_a_job_that_never_ran_has_no_history(store: Store, client: redis.Redis) -> None:
    await bring(store, client, "canceled")
    await requeue(store, "a")

    assert await store.reads.attempts("a") == []


async def test_an_ending_that_was_no_run_is_no_run_in_the_history(store: Store, client: redis.Redis) -> None:
    await bring(store, client, "failed")
    await requeue(store, "a")
    await store.changes.cancel("a")
    await requeue(store, "a")

    assert [earlier_result(JobRecord("a", {}), each).type for each in await store.reads.attempts("a")] == [
        "failed"
    ]


async def test_a_requeue_leaves_a_token_and_a_refused_one_does_not(store: Store, client: redis.Redis) -> None:
    await bring(store, client, "failed")
    client.delete(store.keys.wake)
    await requeue(store, "gone")
    assert not client.exists(store.keys.wake)

    await requeue(store, "a")
    assert client.llen(store.keys.wake) == 1


async def test_a_late_run_of_the_job_s_first_life_is_stale(store: Store, client: redis.Redis) -> None:
    claimed = await bring(store, client, "stopped")
    assert claimed is not None
    await requeue(store, "a")

    with unchanged(client):
        assert await end(store, (claimed, Finished(b"p", 60_000))) == ["stale"]


async def test_many_jobs_in_one_call(store: Store, client: redis.Redis) -> None:
    ids = [f"j{number}" for number in range(500)]
    await put(store, *ids, ttl_ms=1)
    await passed(client, clock(client) + 1)
    assert await requeue(store, *ids) == ["ok"] * 500
    assert client.xlen(store.keys.main) == 500


async def test_nothing_to_do_is_no_call(store: Store) -> None:
    assert await requeue(store) == []


async def test_a_job_kept_for_ever_can_come_back(store: Store, client: redis.Redis) -> None:
    await end(store, (await start(store, failure_ttl=b"-1"), Failed("boom")))
    assert await requeue(store, "a") == ["ok"]
    assert await status(store) == "queued"
    assert (await store.reads.ids(JobStatus.FAILED))[0] == []
