from __future__ import annotations

import pytest
import redis

from aioq.store import Store
from aioq.store.duty import DUE_JOBS_PER_CALL, JOBS_PER_CALL
from aioq.values.options import EXPIRED_TTL_MS
from aioq.values.outcome import Finished, Interrupted, Retried
from aioq.values.record import JobRecord
from aioq.values.states import JobStatus
from aioq.values.submission import Submission
from tests.store.tools import (
    LATE,
    LEASE,
    beat,
    bring,
    claim,
    clock,
    end,
    fields,
    job,
    listening,
    passed,
    pending,
    put,
    start,
    status,
    take,
    unchanged,
)


async def claimed_ids(store: Store, worker: str = "w1", limit: int = 10) -> list[str]:
    return [each.record.id for each in (await claim(store, worker, limit)).jobs]


async def test_jobs_come_in_order_and_those_at_the_front_before(store: Store) -> None:
    await put(store, "a", "b")
    await put(store, "c", "d", front=True)
    await store.duty.join("w1", LEASE)

    assert await claimed_ids(store, limit=3) == ["c", "d", "a"]
    assert await claimed_ids(store) == ["b"]
    assert await claimed_ids(store) == []


async def test_a_claimed_job_runs_under_a_fence_that_grows(store: Store, client: redis.Redis) -> None:
    before = clock(client)
    first = await start(store, data=bytes(range(256)))
    stored = fields(client, store)

    assert first.fence == 1
    assert first.record.fields[b"data"] == bytes(range(256))
    assert (stored[b"status"], stored[b"fence"], stored[b"worker"]) == (b"started", b"1", b"w1")
    assert before <= int(stored[b"started_at"]) <= clock(client)
    assert first.record.fields[b"started_at"] == stored[b"started_at"]
    assert pending(client, store.keys.front) == {stored[b"entry"].removeprefix(b"front/"): b"w1"}

    await end(store, (first, Retried("boom", 0)))
    (second,) = (await claim(store)).jobs
    assert (second.fence, second.record.fence, second.record.attempt) == (2, 2, 2)


async def test_a_job_goes_to_one_worker_only(store: Store) -> None:
    await put(store, *"abcd")
    await store.duty.join("w1", LEASE)
    await store.duty.join("w2", LEASE)

    assert [await claimed_ids(store, "w1", 2), await claimed_ids(store, "w2", 9)] == [["a", "b"], ["c", "d"]]


async def test_a_worker_without_a_lease_is_told_to_join(store: Store, client: redis.Redis) -> None:
    await put(store, "a")
    await put(store, "late", ttl_ms=1)
    await put(store, "due", due="0")
    await passed(client, clock(client) + 1)

    with unchanged(client):
        assert (await claim(store)).verdict == "missing"


@pytest.mark.parametrize("gone", ["main", "front"])
async def test_a_lane_that_was_dropped_and_made_again_is_served_with_the_other_one(
    gone: str, store: Store, client: redis.Redis
) -> None:
    await store.duty.join("w1", LEASE)
    await put(store, "a", front=gone == "main")
    client.delete(store.keys[gone])  # as the last worker to leave does it with an empty one
    await put(store, "b", front=gone == "front")

    assert sorted(await claimed_ids(store)) == ["a", "b"]


async def test_a_server_that_has_lost_all_its_data_knows_no_lease(store: Store, client: redis.Redis) -> None:
    await store.duty.join("w1", LEASE)
    client.flushall()
    await put(store, "a")

    assert (await claim(store)).verdict == "missing"
    assert [each.record.id for each in await take(store)] == ["a"]


@pytest.mark.parametrize("switch", ["paused", "suspended"])
async def test_nothing_moves_in_a_queue_that_is_switched_off(
    switch: str, store: Store, client: redis.Redis
) -> None:
    await store.duty.join("w1", LEASE)
    await put(store, "a")
    await put(store, "late", ttl_ms=1)
    await put(store, "due", due="0")
    await passed(client, clock(client) + 1)
    client.set(store.keys[switch], "1")

    with unchanged(client):
        assert (await claim(store)).verdict == "paused"
        assert await store.reads.is_paused()

    client.delete(store.keys[switch])
    assert await claimed_ids(store) == ["a", "due"]


async def test_a_pause_ends_with_a_resume_that_wakes_or_by_itself(store: Store, client: redis.Redis) -> None:
    await store.duty.join("w1", LEASE)
    await store.changes.pause()
    assert client.ttl(store.keys.paused) == -1
    assert (await claim(store)).verdict == "paused"
    await store.changes.resume()
    assert client.llen(store.keys.wake) == 1
    assert (await claim(store)).verdict == "ok"
    await store.changes.pause(20)
    await passed(client, clock(client) + 20)
    assert (await claim(store)).verdict == "ok"


# Promotion: scheduled jobs that are due


async def test_a_due_job_is_promoted_and_claimed_in_one_call(store: Store, client: redis.Redis) -> None:
    await put(store, "a", due="0")
    before = clock(client)
    (claimed,) = await take(store)
    stored = fields(client, store)

    assert claimed.record.id == "a"
    assert before <= int(stored[b"enqueued_at"]) <= clock(client)
    assert stored[b"due_at"] == b"0"
    assert not client.exists(store.keys.scheduled)


async def test_a_job_that_is_not_due_stays_and_its_moment_is_told(store: Store, client: redis.Redis) -> None:
    await put(store, "b", due="+90000")
    await put(store, "a", due="+60000")
    await store.duty.join("w1", LEASE)
    claims = await claim(store)

    assert claims.jobs == []
    assert 50_000 < claims.due_in_ms <= 60_000
    assert await status(store, "a") == "scheduled"


async def test_nothing_scheduled_is_told_as_no_moment(store: Store) -> None:
    await store.duty.join("w1", LEASE)

    assert (await claim(store)).due_in_ms == -1


async def test_due_jobs_enter_their_own_lanes_in_the_order_of_their_moments(store: Store) -> None:
    await put(store, "c", due="30")
    await put(store, "a", due="10")
    await put(store, "b", due="20", front=True)
    await put(store, "z")

    assert [each.record.id for each in await take(store)] == ["b", "z", "a", "c"]


async def test_the_ttl_of_a_scheduled_job_begins_when_it_is_promoted(store: Store, client: redis.Redis) -> None:
    await put(store, "a", due="0", ttl_ms=60_000)
    await put(store, "b", front=True)
    before = clock(client)
    (first,) = await take(store, limit=1)
    stored = fields(client, store)

    assert first.record.id == "b"
    assert before + 60_000 <= int(stored[b"expires_at"]) <= clock(client) + 60_000
    assert client.pexpiretime(store.keys.job + b"a") == int(stored[b"expires_at"]) + EXPIRED_TTL_MS


async def test_more_due_jobs_than_one_call_promotes_come_in_the_next_ones(
    store: Store, client: redis.Redis
) -> None:
    total = 2 * DUE_JOBS_PER_CALL + 20

    await store.producing.enqueue_many([job(f"j{each}", due=str(1 + each)) for each in range(total)])

    await store.duty.join("w1", LEASE)
    first = await claim(store, limit=total)
    assert (len(first.jobs), first.due_in_ms) == (DUE_JOBS_PER_CALL, 0)

    second, third = await claim(store, limit=total), await claim(store, limit=total)
    assert (len(second.jobs), len(third.jobs), third.due_in_ms) == (DUE_JOBS_PER_CALL, 20, -1)
    assert [each.record.id for each in first.jobs + second.jobs + third.jobs] == [f"j{n}" for n in range(total)]


async def test_a_schedule_entry_without_its_job_is_dropped(store: Store, client: redis.Redis) -> None:
    await put(store, "a", due="0")
    client.delete(store.keys.job + b"a")

    assert await take(store) == []
    assert not client.exists(store.keys.scheduled)
    assert client.xlen(store.keys.main) == 0


# Expiry: queued jobs that are past their ttl


async def test_a_job_past_its_ttl_is_never_started(store: Store, client: redis.Redis) -> None:
    await put(store, "late", ttl_ms=1)
    await put(store, "a", ttl_ms=60_000)
    await passed(client, clock(client) + 1)
    (claimed,) = await take(store)

    assert claimed.record.id == "a"
    assert fields(client, store, "late")[b"status"] == b"expired"
    assert (await store.reads.ids(JobStatus.EXPIRED))[0] == ["late"]


async def test_late_jobs_do_not_take_the_place_of_others(store: Store, client: redis.Redis) -> None:
    await put(store, "late1", "late2", ttl_ms=1, front=True)
    await put(store, "a", "b")
    await passed(client, clock(client) + 1)

    assert [each.record.id for each in await take(store, limit=2)] == ["a", "b"]


async def test_a_claimed_job_has_no_deadline_any_more(store: Store, client: redis.Redis) -> None:
    await start(store, ttl_ms=60_000)

    assert not client.exists(store.keys.expiring)
    assert client.ttl(store.keys.job + b"a") == -1
    assert b"expires_at" not in fields(client, store)


async def test_an_expired_job_shows_the_same_before_and_after_a_worker_has_looked(
    store: Store, client: redis.Redis
) -> None:
    await bring(store, client, LATE, "a")
    await bring(store, client, LATE, "b")
    seen = [each.fields for each in await store.reads.load(["a", "b"]) if each is not None]
    listed, counted = await store.reads.ids(JobStatus.EXPIRED), await store.reads.count()
    goes_at = client.pexpiretime(store.keys.job + b"a")
    assert await take(store) == []

    for before, after in zip(seen, await store.reads.load(["a", "b"]), strict=True):
        assert after is not None
        assert before[b"status"] == b"expired"
        assert {**after.fields, b"expires_at": before[b"expires_at"]} == before

    assert (await store.reads.ids(JobStatus.EXPIRED))[0] == listed[0] == ["a", "b"]
    assert (await store.reads.count()).jobs == counted.jobs
    assert client.pexpiretime(store.keys.job + b"a") == goes_at


async def test_a_job_that_is_late_at_the_claim_itself_is_expired(store: Store, client: redis.Redis) -> None:
    await bring(store, client, LATE)
    client.zrem(
        store.keys.expiring, *client.zrange(store.keys.expiring, 0, -1)
    )  # more were late than one call takes

    assert await take(store) == []
    assert await status(store) == "expired"


async def test_a_job_that_ran_before_and_is_late_at_the_claim_itself_goes_with_its_history(
    store: Store, client: redis.Redis
) -> None:
    claimed = await start(store, ttl_ms=60_000)
    client.hset(store.keys.job + b"a", "ttl", "1")
    await end(store, (claimed, Retried("boom", 0)))
    deadline = int(fields(client, store)[b"expires_at"])
    await passed(client, deadline)
    client.delete(store.keys.expiring)

    assert await take(store) == []
    assert client.pexpiretime(store.keys.attempts + b"a") == deadline + EXPIRED_TTL_MS


async def test_more_late_jobs_than_one_call_expires_are_not_started_either(
    store: Store, client: redis.Redis
) -> None:
    ids = [f"j{number}" for number in range(2 * JOBS_PER_CALL + 50)]
    await put(store, *ids, ttl_ms=1)
    await passed(client, clock(client) + 1)

    assert (await store.reads.count()).queued == 0
    assert (await store.reads.count())["expired"] == len(ids)

    while client.xlen(store.keys.main):
        assert sorted((await store.reads.ids(JobStatus.EXPIRED))[0]) == sorted(ids)
        assert await take(store, limit=100) == []
        assert (await store.reads.count())["expired"] == len(ids)

    assert client.zcard(store.keys["expired"] + b":usual") == len(ids)


async def test_a_retried_job_that_expires_unseen_goes_with_its_history(store: Store, client: redis.Redis) -> None:
    claimed = await start(store, ttl_ms=60_000)
    client.hset(store.keys.job + b"a", "ttl", "5")
    assert await end(store, (claimed, Retried("boom", 0))) == ["ok"]
    deadline = int(fields(client, store)[b"expires_at"])

    assert client.pexpiretime(store.keys.attempts + b"a") == deadline + EXPIRED_TTL_MS
    await passed(client, deadline)
    assert await status(store) == "expired"
    assert await take(store) == []
    assert client.pexpiretime(store.keys.attempts + b"a") == deadline + EXPIRED_TTL_MS


async def test_those_who_wait_hear_that_a_job_has_expired(store: Store, client: redis.Redis) -> None:
    await put(store, "a", ttl_ms=100)
    assert await store.producing.wait("channel", ["a"]) != [{}]

    with listening(client, "channel") as messages:
        await passed(client, int(fields(client, store)[b"expires_at"]))
        await take(store)

        assert messages() == [b"a expired 0\n"]


# Entries whose job is gone


@pytest.mark.parametrize("front", [False, True])
async def test_the_entry_of_a_job_that_is_gone_is_taken_away(
    front: bool, store: Store, client: redis.Redis
) -> None:
    await put(store, "a", "b", front=front)
    client.delete(store.keys.job + b"a")
    claimed = await take(store)

    assert [each.record.id for each in claimed] == ["b"]
    assert client.xlen(store.keys.main) + client.xlen(store.keys.front) == 1
    assert len(pending(client, store.keys.main)) + len(pending(client, store.keys.front)) == 1


async def test_a_claim_that_met_only_dead_entries_leaves_a_token(store: Store, client: redis.Redis) -> None:
    await put(store, "a", "b")
    client.delete(store.keys.job + b"a", store.keys.wake)
    await store.duty.join("w1", LEASE)

    assert await claimed_ids(store, limit=1) == []
    assert client.llen(store.keys.wake) == 1
    assert await claimed_ids(store, limit=1) == ["b"]


async def test_more_dead_entries_than_lua_unpacks_at_once_are_taken_away(
    store: Store, client: redis.Redis
) -> None:
    total = 9_000

    for number in range(0, total, 500):
        await put(store, *(f"j{each}" for each in range(number, number + 500)))

    for number in range(0, total, 1_000):
        client.delete(*(store.keys.job + b"j%d" % each for each in range(number, number + 1_000)))

    assert await take(store, limit=10_000) == []
    assert client.xlen(store.keys.main) == 0


async def test_an_entry_that_is_not_the_job_s_own_does_not_start_it(store: Store, client: redis.Redis) -> None:
    await put(store, "a")
    client.xadd(store.keys.front, {"id": "a"})
    await store.duty.join("w1", LEASE)
    client.xadd(store.keys.main, {"id": "a"})

    assert await claimed_ids(store) == ["a"]
    assert client.xlen(store.keys.front) == 0
    assert client.xlen(store.keys.main) == 1


# Tokens


async def test_a_full_worker_passes_the_token_on(store: Store, client: redis.Redis) -> None:
    await put(store, "a", "b")
    client.delete(store.keys.wake)
    await take(store, limit=1)

    assert client.lrange(store.keys.wake, 0, -1) == [b"1"]
    assert 0 < client.ttl(store.keys.wake) <= 60


async def test_a_worker_with_room_left_leaves_no_token(store: Store, client: redis.Redis) -> None:
    await put(store, "a", "b")
    client.delete(store.keys.wake)
    await take(store, limit=3)

    assert not client.exists(store.keys.wake)


async def test_a_token_can_be_left_by_hand_and_there_is_only_one(store: Store, client: redis.Redis) -> None:
    await store.changes.wake()
    await store.changes.wake()

    assert client.llen(store.keys.wake) == 1
    assert 0 < client.ttl(store.keys.wake) <= 60


async def test_a_late_beat_does_not_hinder_a_claim(store: Store, client: redis.Redis) -> None:
    await put(store, "a")
    await store.duty.join("w1", 1)
    await passed(client, clock(client) + 1)
    (claimed,) = (await claim(store)).jobs
    assert (await beat(store)).lapsed is False

    assert await end(store, (claimed, Finished(b"p", 60_000))) == ["ok"]


async def test_a_claim_that_was_delayed_on_its_way_takes_nothing(store: Store, client: redis.Redis) -> None:
    await store.duty.join("w1", LEASE, 0)
    delayed = store.duty.claim_command("w1", 10, 0)
    await store.duty.reclaim("w1", [], 1)  # the worker has given up waiting for its reply
    await put(store, "a")

    with unchanged(client):
        reply = await store.connection.call(delayed)
        assert store.duty.read_claims(reply, "w1").verdict == "missing"

    reply = await store.connection.call(store.duty.claim_command("w1", 10, 1))
    assert [each.record.id for each in store.duty.read_claims(reply, "w1").jobs] == ["a"]


async def test_a_worker_whose_session_was_lost_joins_again(store: Store, client: redis.Redis) -> None:
    await store.duty.join("w1", LEASE, 3)
    client.delete(store.keys.sessions)
    reply = await store.connection.call(store.duty.claim_command("w1", 10, 3))
    assert store.duty.read_claims(reply, "w1").verdict == "missing"

    await store.duty.join("w1", LEASE, 3)
    reply = await store.connection.call(store.duty.claim_command("w1", 10, 3))
    assert store.duty.read_claims(reply, "w1").verdict == "ok"


async def test_sessions_go_with_their_workers(store: Store, client: redis.Redis) -> None:
    await store.duty.join("w1", LEASE)
    await store.duty.join("w2", 1)
    assert client.hkeys(store.keys.sessions) == [b"w1", b"w2"]
    assert client.pttl(store.keys.sessions) > 0

    await store.duty.leave("w1")
    await passed(client, clock(client) + 1)
    await store.duty.reclaim("w2")
    assert not client.exists(store.keys.sessions)


@pytest.mark.parametrize("more", ["opts", "after", "parents enqueued_at", "1"])
async def test_a_claim_brings_what_the_field_more_names(store: Store, client: redis.Redis, more: str) -> None:
    await put(store, "first")

    if more == "opts":
        await put(store, "a", opts=b'{"timeout":5}')
    elif more == "after":
        await store.producing.enqueue(Submission(JobRecord("a", {b"func": b"m.f", b"after": b"group=g/0"})))
    elif more == "1":
        await put(store, "a", front=False, opts=b'{"timeout":5}', failure_ttl=b"1000")
    else:
        waits = JobRecord("a", {b"func": b"m.f", b"data": b"p1"})
        await store.producing.enqueue(Submission(waits, words={"parents": "wfirst"}))

    (first,) = await take(store, limit=1)
    assert await end(store, (first, Finished(b"p", 60_000))) == ["ok"]
    stored = client.hgetall(store.keys.job + b"a")
    assert stored[b"more"] == more.encode()
    (claimed,) = await take(store, limit=1)
    named = {b"func", b"data", b"opts", b"after", b"parents", b"created_at", b"enqueued_at", b"failure_ttl"}
    assert {name: claimed.record.fields.get(name) for name in named} == {name: stored.get(name) for name in named}
    assert claimed.fence == 1

    # A run that goes back may have left anything, so the next claim reads all.
    assert await end(store, (claimed, Interrupted(True))) == ["ok"]
    assert client.hget(store.keys.job + b"a", "more") == b"1"
