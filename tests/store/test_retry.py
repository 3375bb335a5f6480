from __future__ import annotations

import json

import pytest
import redis

from aioq.store import Store
from aioq.values.outcome import Failed, Finished, Interrupted, Retried
from aioq.values.result import earlier_result
from tests.store.tools import audit, clock, end, fields, passed, put, start, status, take, unchanged


async def test_a_retry_without_pause_goes_to_the_end_of_its_lane(store: Store, client: redis.Redis) -> None:
    claimed = await start(store)
    await put(store, "b")
    before = clock(client)
    assert await end(store, (claimed, Retried("boom", 0))) == ["ok"]
    stored = fields(client, store)

    assert (stored[b"status"], stored[b"error"]) == (b"queued", b"boom")
    assert before <= int(stored[b"enqueued_at"]) <= clock(client)
    assert [each.record.id for each in await take(store)] == ["b", "a"]


async def test_a_retry_after_a_pause_waits_in_the_schedule(store: Store, client: redis.Redis) -> None:
    before = clock(client)
    await end(store, (await start(store), Retried("boom", 60_000)))
    stored = fields(client, store)

    assert stored[b"status"] == b"scheduled"
    assert before + 60_000 <= int(stored[b"due_at"]) <= clock(client) + 60_000
    assert client.zscore(store.keys.scheduled, "a") == int(stored[b"due_at"])
    assert client.xlen(store.keys.front) == 0


@pytest.mark.parametrize("delay", [0, 1])
async def test_a_retry_at_the_front_goes_before_the_others(delay: int, store: Store, client: redis.Redis) -> None:
    await end(store, (await start(store), Retried("boom", delay, at_front=True)))
    await put(store, "b")
    client.zadd(store.keys.scheduled, {"a": 1}, xx=True)  # its pause is over

    assert [each.record.id for each in await take(store)] == ["a", "b"]


async def test_a_later_retry_need_not_go_to_the_front_again(store: Store, client: redis.Redis) -> None:
    await end(store, (await start(store), Retried("boom", 1, at_front=True)))
    client.zadd(store.keys.scheduled, {"a": 1}, xx=True)
    (second,) = await take(store)
    await end(store, (second, Retried("boom", 1)))
    await put(store, "b")
    client.zadd(store.keys.scheduled, {"a": 1}, xx=True)

    assert [each.record.id for each in await take(store)] == ["b", "a"]


async def test_a_retry_uses_an_attempt_up_and_keeps_what_is_known_of_it(store: Store, client: redis.Redis) -> None:
    first = await start(store)
    await end(store, (first, Retried('ä \x00 " \\ \n', 0)))
    (packed,) = await store.reads.attempts("a")
    kept = earlier_result(first.record, packed)
    (second,) = await take(store)

    assert (kept.type, kept.fence, kept.worker_name, kept.exc_info) == ("failed", 1, "w1", 'ä \x00 " \\ \n')
    assert kept.started_at == first.record.started_at
    assert kept.ended_at is not None
    assert json.loads(packed)["ended_at"].isdigit()
    assert second.record.attempt == 2


async def test_no_more_than_ten_earlier_attempts_are_kept(store: Store, client: redis.Redis) -> None:
    claimed = await start(store)

    for number in range(12):
        await end(store, (claimed, Retried(f"boom {number}", 0)))
        (claimed,) = await take(store)

    errors = [earlier_result(claimed.record, each).exc_info for each in await store.reads.attempts("a")]
    assert errors == [f"boom {number}" for number in range(2, 12)]
    assert client.ttl(store.keys.attempts + b"a") == -1
    await end(store, (claimed, Failed("the last")))


@pytest.mark.parametrize("delay", [0, 60_000])
async def test_the_same_call_twice_is_harmless(delay: int, store: Store, client: redis.Redis) -> None:
    claimed = await start(store)
    await end(store, (claimed, Retried("boom", delay)))

    with unchanged(client):
        assert await end(store, (claimed, Retried("boom", delay))) == ["stale"]


async def test_a_run_that_has_lost_its_claim_is_not_retried(store: Store, client: redis.Redis) -> None:
    stale = await start(store)
    await end(store, (stale, Retried("boom", 0)))
    (newer,) = await take(store)

    with unchanged(client):
        assert await end(store, (stale, Retried("late", 0))) == ["stale"]

    await end(store, (newer, Finished(b"p", 60_000)))

    with unchanged(client):
        assert await end(store, (newer, Retried("late", 0))) == ["stale"]

    await store.changes.delete(["a"])
    assert await end(store, (newer, Retried("late", 0))) == ["gone"]


async def test_a_ttl_begins_anew_with_each_wait(store: Store, client: redis.Redis) -> None:
    claimed = await start(store, ttl_ms=60_000)
    before = clock(client)
    await end(store, (claimed, Retried("boom", 0)))

    assert before + 60_000 <= int(fields(client, store)[b"expires_at"]) <= clock(client) + 60_000


async def test_a_pause_does_not_use_the_ttl_up(store: Store, client: redis.Redis) -> None:
    claimed = await start(store, ttl_ms=60_000)
    client.hset(store.keys.job + b"a", "ttl", "1")
    await end(store, (claimed, Retried("boom", 60_000)))

    assert b"expires_at" not in fields(client, store)
    assert client.ttl(store.keys.job + b"a") == -1
    assert await status(store) == "scheduled"


async def test_those_who_wait_go_on_waiting_through_a_retry(store: Store, client: redis.Redis) -> None:
    claimed = await start(store)
    await store.producing.wait("one", ["a"])
    await end(store, (claimed, Retried("boom", 0)))

    assert fields(client, store)[b"after"] == b"@one"


async def test_a_retry_leaves_a_token(store: Store, client: redis.Redis) -> None:
    claimed = await start(store)
    client.delete(store.keys.wake)
    await end(store, (claimed, Retried("boom", 60_000)))

    assert client.llen(store.keys.wake) == 1


async def test_the_first_retry_notes_when_the_attempts_began_and_until_when_the_next_may(
    store: Store, client: redis.Redis
) -> None:
    first = await start(store)
    await end(store, (first, Retried("boom", 0, within_ms=60_000)))
    began, start_by = (int(fields(client, store)[name]) for name in (b"first_started_at", b"start_by"))
    (second,) = await take(store)
    await end(store, (second, Retried("boom", 0, within_ms=90_000)))

    assert (began, start_by) == (first.record.started_ms, first.record.started_ms + 60_000)
    assert second.record.first_started_ms == began
    assert b"start_by" not in second.record.fields
    assert int(fields(client, store)[b"start_by"]) == began + 90_000


async def test_a_retry_whose_turn_comes_after_the_deadline_fails_with_the_error_of_its_last_run(
    store: Store, client: redis.Redis
) -> None:
    claimed = await start(store, failure_ttl=b"70000", ttl_ms=60_000)
    await store.producing.wait("one", ["a"])
    await end(store, (claimed, Retried('{"type": "E"}\nboom', 0, within_ms=1)))
    await passed(client, int(fields(client, store)[b"start_by"]))
    heard = client.pubsub()
    heard.subscribe("one")
    heard.get_message(timeout=1)
    await put(store, "b")
    (other,) = await take(store)
    stored = fields(client, store)
    (row,) = await store.reads.attempts("a")

    assert (other.record.id, stored[b"status"]) == ("b", b"failed")
    assert stored[b"error"].decode().split("\n") == [
        '{"type": "E"}',
        "boom",
        "its turn came after the deadline of its Retry, so it was not run again",
    ]
    assert 60_000 < client.pttl(store.keys.job + b"a") <= 70_000
    assert (b"expires_at" in stored, client.exists(store.keys.expiring), client.xlen(store.keys.main)) == (
        False,
        0,
        1,
    )
    assert json.loads(row)["outcome"] == "failed"
    message = heard.get_message(timeout=5)
    assert message is not None
    assert message["data"].startswith(b"a failed ")
    assert audit(client, store) == []


@pytest.mark.parametrize("how", ["given back", "lost"])
async def test_an_attempt_that_began_in_time_and_was_interrupted_runs_again(
    how: str, store: Store, client: redis.Redis
) -> None:
    await end(store, (await start(store), Retried("boom", 0, within_ms=1_000)))
    (second,) = await take(store)
    deadline = second.record.first_started_ms + 1_000

    if how == "given back":
        await end(store, (second, Interrupted(begun=True)))
    else:
        await store.duty.reclaim("w1", reaped=True)

    await passed(client, deadline)
    (third,) = await take(store)

    assert (third.record.attempt, third.record.first_started_ms) == (2, deadline - 1_000)


@pytest.mark.parametrize("reset", [True, False])
async def test_a_requeue_begins_the_deadline_anew(reset: bool, store: Store, client: redis.Redis) -> None:
    await end(store, (await start(store), Retried("boom", 0, within_ms=1)))
    await passed(client, int(fields(client, store)[b"start_by"]))
    assert await take(store) == []
    assert await store.changes.requeue(["a"], at_front=False, reset=reset) == ["ok"]
    (again,) = await take(store)

    assert again.record.first_started_ms == again.record.started_ms
    assert again.record.attempt == (1 if reset else 2)


async def test_a_run_whose_function_asked_for_another_has_not_failed(store: Store, client: redis.Redis) -> None:
    await end(store, (await start(store), Retried("asked", 0, is_asked=True)))
    (second,) = await take(store)
    await end(store, (second, Retried("boom", 0, at_front=True, within_ms=60_000, is_asked=True)))
    (third,) = await take(store)
    await end(store, (third, Retried("boom", 0)))

    assert [json.loads(row)["outcome"] for row in await store.reads.attempts("a")] == [
        "retried",
        "retried",
        "failed",
    ]


@pytest.mark.parametrize("value", [b"junk", b"1e300", b"99999999999999999999"])
async def test_a_damaged_deadline_holds_no_job_back(value: bytes, store: Store, client: redis.Redis) -> None:
    await end(store, (await start(store), Retried("boom", 0)))
    client.hset(store.keys.job + b"a", mapping={"start_by": value, "first_started_at": value})
    (again,) = await take(store)

    assert again.record.first_started_ms == again.record.started_ms
    assert await end(store, (again, Retried("boom", 0, within_ms=60_000))) == ["ok"]
    assert int(fields(client, store)[b"start_by"]) == again.record.started_ms + 60_000
