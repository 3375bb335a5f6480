from __future__ import annotations

import redis

from aioq.store import Store
from aioq.store.duty import JOBS_PER_CALL
from aioq.values.outcome import Finished, Interrupted, Retried
from aioq.values.record import JobRecord
from aioq.values.result import earlier_result
from tests.store.tools import (
    LEASE,
    beat,
    claim,
    clock,
    end,
    fields,
    pending,
    put,
    start,
    status,
    take,
    unchanged,
)


async def die(store: Store, client: redis.Redis, worker: str = "w1") -> None:
    """The worker's lease ends."""
    client.zadd(store.keys.leases, {worker: clock(client) - 1})


async def test_the_jobs_of_a_worker_that_is_alive_are_not_taken(store: Store, client: redis.Redis) -> None:
    await start(store)

    with unchanged(client):
        assert await store.duty.reclaim("w1") == (False, [], [])


async def test_the_jobs_of_a_lost_worker_go_to_the_front(store: Store, client: redis.Redis) -> None:
    await put(store, "a", "b")
    await put(store, "c", front=True)
    claims = await take(store, limit=2)
    assert [each.record.id for each in claims] == ["c", "a"]
    await die(store, client)
    assert await store.duty.reclaim("w1") == (False, ["c", "a"], [])

    again = await take(store, "w2")
    assert [each.record.id for each in again] == ["c", "a", "b"]
    assert [(each.fence, each.record.attempt, each.record.deliveries) for each in again] == [
        (2, 1, 1),
        (2, 1, 1),
        (1, 1, 0),
    ]


async def test_a_lost_run_is_kept_in_the_history(store: Store, client: redis.Redis) -> None:
    first = await start(store)
    await die(store, client)
    await store.duty.reclaim("w1")
    (packed,) = await store.reads.attempts("a")
    kept = earlier_result(JobRecord("a", {}), packed)

    assert (kept.type, kept.fence, kept.worker_name) == ("abandoned", 1, "w1")
    assert kept.started_at == first.record.started_at
    assert "w1" in (kept.exc_info or "")


async def test_a_lost_worker_leaves_no_lease_and_no_consumer(store: Store, client: redis.Redis) -> None:
    await start(store)
    await die(store, client)
    await store.duty.reclaim("w1")

    assert not client.exists(store.keys.leases)
    assert client.xinfo_consumers(store.keys.front, "workers") == []
    assert client.xinfo_consumers(store.keys.main, "workers") == []


async def test_what_a_lost_worker_writes_is_stale(store: Store, client: redis.Redis) -> None:
    stale = await start(store)
    await die(store, client)
    await store.duty.reclaim("w1")

    with unchanged(client):
        assert await end(store, (stale, Finished(b"p", 60_000))) == ["stale"]

    await take(store, "w2")

    with unchanged(client):
        assert await end(store, (stale, Finished(b"p", 60_000))) == ["stale"]
        assert await end(store, (stale, Retried("boom", 0))) == ["stale"]


async def test_the_same_call_twice_is_harmless(store: Store, client: redis.Redis) -> None:
    await start(store)
    await die(store, client)
    await store.duty.reclaim("w1")

    with unchanged(client):
        assert await store.duty.reclaim("w1") == (False, [], [])


async def test_a_worker_that_nobody_knows_holds_nothing(store: Store, client: redis.Redis) -> None:
    await put(store, "a")

    with unchanged(client):
        assert await store.duty.reclaim("nobody") == (False, [], [])


async def test_interruptions_alone_never_fail_a_job(store: Store) -> None:
    claimed = await start(store)

    for _ in range(5):
        await end(store, (claimed, Interrupted(begun=True)))
        (claimed,) = await take(store)

    assert claimed.record.deliveries == 5


async def test_more_jobs_than_one_call_takes_come_in_the_next_ones(store: Store, client: redis.Redis) -> None:
    total = 2 * JOBS_PER_CALL + 50
    ids = [f"j{number}" for number in range(total)]
    await put(store, *ids)
    assert len(await take(store, limit=total)) == total
    await die(store, client)
    taken: list[str] = []

    for more in (True, True, False):
        found, back, _ = await store.duty.reclaim("w1")
        assert found is more
        taken += back
        assert fields(client, store, back[-1])[b"deaths"] == b"%d w1\n" % (total - 1)

    assert sorted(taken) == sorted(ids)
    assert (await store.reads.count()).queued == total


async def test_a_worker_that_wakes_up_while_its_jobs_are_being_taken_is_told(
    store: Store, client: redis.Redis
) -> None:
    ids = [f"j{number}" for number in range(JOBS_PER_CALL + 50)]
    await put(store, *ids)
    await take(store, limit=len(ids))
    await die(store, client)
    more, back, _ = await store.duty.reclaim("w1")
    assert (more, len(back)) == (True, JOBS_PER_CALL)

    assert (await beat(store)).lapsed
    assert not (await beat(store)).lapsed
    assert await store.duty.reclaim("w1") == (False, [], [])
    assert (await store.reads.count())["started"] == 50


async def test_jobs_at_the_front_and_in_the_main_lane_are_taken_in_one_call(
    store: Store, client: redis.Redis
) -> None:
    await put(store, "a")
    await put(store, "b", front=True)
    await take(store)
    await die(store, client)

    assert sorted((await store.duty.reclaim("w1"))[1]) == ["a", "b"]


async def test_an_entry_whose_job_is_gone_is_taken_away(store: Store, client: redis.Redis) -> None:
    await start(store)
    client.delete(store.keys.job + b"a")
    await die(store, client)

    assert await store.duty.reclaim("w1") == (False, [], [])
    assert client.xlen(store.keys.front) == 0
    assert pending(client, store.keys.front) == {}


async def test_a_ttl_begins_anew(store: Store, client: redis.Redis) -> None:
    await start(store, ttl_ms=60_000)
    await die(store, client)
    before = clock(client)
    await store.duty.reclaim("w1")

    assert before + 60_000 <= int(fields(client, store)[b"expires_at"]) <= clock(client) + 60_000


async def test_reclaimed_jobs_leave_a_token(store: Store, client: redis.Redis) -> None:
    await start(store)
    await die(store, client)
    client.delete(store.keys.wake)
    await store.duty.reclaim("w1")

    assert client.llen(store.keys.wake) == 1


# Reaped: whoever has started the worker has seen the end of its process


async def test_the_jobs_of_a_reaped_worker_go_back_whatever_its_lease_says(
    store: Store, client: redis.Redis
) -> None:
    await put(store, "a", "b")
    await take(store, limit=2)
    assert client.zscore(store.keys.leases, "w1") > clock(client)
    assert await store.duty.reclaim("w1", reaped=True) == (False, ["a", "b"], [])

    again = await take(store, "w2")
    assert [(each.record.id, each.record.attempt, each.record.deliveries) for each in again] == [
        ("a", 1, 1),
        ("b", 1, 1),
    ]
    assert fields(client, store)[b"deaths"] == b"1 w1\n"


async def test_a_report_takes_nothing_from_other_workers(store: Store, client: redis.Redis) -> None:
    await put(store, "a", "b")
    await take(store, "w1", limit=1)
    await take(store, "w2", limit=1)
    assert await store.duty.reclaim("w1", reaped=True) == (False, ["a"], [])
    assert await status(store, "b") == "started"
    assert client.zrange(store.keys.leases, 0, -1) == [b"w2"]


async def test_calls_of_a_reaped_worker_that_come_late_are_refused(store: Store, client: redis.Redis) -> None:
    stale = await start(store)
    await put(store, "b")
    await store.duty.reclaim("w1", reaped=True)

    with unchanged(client):
        assert (await claim(store)).verdict == "missing"
        assert await end(store, (stale, Finished(b"p", 60_000))) == ["stale"]

    # A late heartbeat gives it a lease, but no session: it may not claim.
    assert (await beat(store)).lapsed
    assert (await claim(store)).verdict == "missing"
    assert (await store.reads.count()).queued == 2


async def test_a_report_that_is_sent_again_takes_nothing(store: Store, client: redis.Redis) -> None:
    await start(store)
    await store.duty.reclaim("w1", reaped=True)

    with unchanged(client):
        assert await store.duty.reclaim("w1", reaped=True) == (False, [], [])


async def test_more_jobs_of_a_reaped_worker_than_one_call_takes(store: Store, client: redis.Redis) -> None:
    ids = [f"j{number}" for number in range(JOBS_PER_CALL + 50)]
    await put(store, *ids)
    await take(store, limit=len(ids))
    more, first, _ = await store.duty.reclaim("w1", reaped=True)
    assert more
    await beat(store)  # one that was on its way
    more, rest, _ = await store.duty.reclaim("w1", reaped=True)
    assert not more
    assert sorted(first + rest) == sorted(ids)


async def test_a_job_that_was_alone_on_its_third_reaped_worker_fails(store: Store, client: redis.Redis) -> None:
    await put(store, "a")

    for worker in ("w1", "w2", "w3"):
        await store.duty.join(worker, LEASE)
        assert len((await claim(store, worker, 1, slots=1)).jobs) == 1
        _, back, failed = await store.duty.reclaim(worker, reaped=True)

    assert (back, failed) == ([], ["a"])
    assert await status(store) == "failed"


# Resync: a worker asks for what it holds without knowing it


async def test_a_worker_gives_back_what_it_does_not_know_of(store: Store, client: redis.Redis) -> None:
    await put(store, "a", "b", "c")
    known = await take(store, limit=1)
    lost = await claim(store)  # the reply of this claim never came
    assert [each.record.id for each in lost.jobs] == ["b", "c"]
    assert await store.duty.reclaim("w1", known) == (False, ["b", "c"], [])

    again = (await claim(store)).jobs
    assert [(each.record.id, each.record.attempt, each.record.deliveries) for each in again] == [
        ("b", 1, 0),
        ("c", 1, 0),
    ]
    assert await end(store, (known[0], Finished(b"p", 60_000))) == ["ok"]
    assert await end(store, (lost.jobs[0], Finished(b"p", 60_000))) == ["stale"]
    assert await store.reads.attempts("b") == []


async def test_a_worker_that_holds_all_of_it_gives_nothing_back(store: Store, client: redis.Redis) -> None:
    await put(store, "a", "b", "c")
    a, b, c = await take(store)
    await store.changes.delete(["c"])

    with unchanged(client):
        assert await store.duty.reclaim("w1", [a, b, c]) == (False, [], [])


async def test_a_newer_claim_of_a_job_that_the_worker_still_runs_under_an_older_one_goes_back(
    store: Store, client: redis.Redis
) -> None:
    older = await start(store)
    await die(store, client)
    await store.duty.reclaim("w1")
    (newer,) = await take(store)  # the reply of this claim never came
    assert (older.fence, newer.fence) == (1, 2)

    assert await store.duty.reclaim("w1", [older]) == (False, ["a"], [])
    assert await store.duty.reclaim("w1", [newer]) == (False, [], [])


async def test_a_worker_that_gives_back_keeps_its_lease(store: Store, client: redis.Redis) -> None:
    await start(store)
    await store.duty.reclaim("w1", [])

    assert client.zscore(store.keys.leases, "w1") is not None


async def test_more_unknown_jobs_than_lua_unpacks_at_once_go_back(store: Store, client: redis.Redis) -> None:
    total = 9_000

    for number in range(0, total, 500):
        await put(store, *(f"j{each}" for each in range(number, number + 500)))

    assert len(await take(store, limit=total)) == total
    _, back, _ = await store.duty.reclaim("w1", [])

    assert len(back) == total
    assert (await store.reads.count()).queued == total
    client.flushall()


async def test_orphans_without_a_lease_are_adopted_by_whoever_joins(store: Store, client: redis.Redis) -> None:
    await start(store)
    client.delete(store.keys.leases)  # lost with the server's data
    await store.duty.join("w2", LEASE)
    assert client.zscore(store.keys.leases, "w1") > clock(client)
    client.zadd(store.keys.leases, {"w1": clock(client) - 1})

    assert (await beat(store, "w2")).lost == ["w1"]
    assert await store.duty.reclaim("w1") == (False, ["a"], [])


async def test_a_resync_that_was_delayed_on_its_way_takes_nothing_back(store: Store, client: redis.Redis) -> None:
    await store.duty.join("w1", LEASE)
    await store.duty.reclaim("w1", [], 2)
    await put(store, "a")
    reply = await store.connection.call(store.duty.claim_command("w1", 10, 2))
    assert len(store.duty.read_claims(reply, "w1").jobs) == 1

    with unchanged(client):
        assert await store.duty.reclaim("w1", [], 1) == (False, [], [])

    assert await status(store) == "started"
