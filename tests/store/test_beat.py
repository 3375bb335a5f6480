"""Leases: beat, join, leave."""

from __future__ import annotations

import pytest
import redis

from aioq.store import Store
from aioq.store.duty import read_holders
from aioq.values.outcome import Finished
from tests.store.tools import LEASE, beat, claim, clock, end, passed, put, start, take, unchanged


def lease(client: redis.Redis, store: Store, worker: str = "w1") -> float:
    end_ms = client.zscore(store.keys.leases, worker)
    assert end_ms is not None
    return float(end_ms)


async def test_a_beat_renews_the_lease_by_the_server_s_clock(store: Store, client: redis.Redis) -> None:
    await store.duty.join("w1", 1_000)
    before = clock(client)
    found = await beat(store)

    assert found[:3] == (False, -1, [])
    assert before <= found.clock_ms <= clock(client)
    assert before + LEASE <= lease(client, store) <= clock(client) + LEASE


async def test_a_worker_whose_lease_was_taken_is_told_and_has_a_new_one(store: Store, client: redis.Redis) -> None:
    await store.duty.join("w1", 1)
    await passed(client, clock(client) + 1)
    await store.duty.reclaim("w1")
    await store.duty.join("w2", LEASE)

    assert (await beat(store)).lapsed
    assert not (await beat(store)).lapsed
    assert lease(client, store) > clock(client)


async def test_a_worker_is_told_of_those_whose_lease_has_ended(store: Store, client: redis.Redis) -> None:
    await store.duty.join("w1", LEASE)  # first: when nobody's lease has not ended, it is the server that was away
    await store.duty.join("w2", 1)
    await store.duty.join("w3", 1)
    await passed(client, clock(client) + 1)
    found = await beat(store)

    assert (found.lapsed, sorted(found.lost)) == (False, ["w2", "w3"])
    assert (await store.reads.count()).workers == 1


async def test_a_worker_is_never_told_of_itself(store: Store, client: redis.Redis) -> None:
    await store.duty.join("w2", LEASE)
    await store.duty.join("w1", 1)
    await passed(client, clock(client) + 1)

    assert (await beat(store)).lost == []


async def test_the_end_of_the_next_lease_of_another_is_told(store: Store, client: redis.Redis) -> None:
    await store.duty.join("w1", 1_000)
    await store.duty.join("w2", 30_000)
    await store.duty.join("w3", 50_000)

    assert 20_000 < (await beat(store)).next_end_ms <= 30_000
    assert 20_000 < (await beat(store)).next_end_ms <= 30_000


async def test_after_the_server_was_away_everyone_has_a_lease_s_time_to_come_back(
    store: Store, client: redis.Redis
) -> None:
    now = clock(client)
    await start(store, "a", "w1")
    await start(store, "b", "w2")
    # Both beat last 40 s ago, with leases of 30 s: so it was the server that was away.
    client.zadd(store.keys.leases, {"w1": now - 10_000, "w2": now - 11_000})

    assert (await beat(store, "w1", 30_000))[:3] == (False, 30_000, [])
    assert lease(client, store, "w2") >= now + 30_000
    assert await store.duty.reclaim("w2") == (False, [], [])


async def test_a_worker_that_starts_first_after_an_outage_takes_nobody_s_time_to_come_back(
    store: Store, client: redis.Redis
) -> None:
    now = clock(client)
    await start(store, "a", "w1")
    await start(store, "b", "w2")
    client.zadd(store.keys.leases, {"w1": now - 10_000, "w2": now - 11_000})
    await store.duty.join("new", LEASE)

    assert (await beat(store, "new")).lost == []
    assert lease(client, store, "w2") >= now + LEASE
    assert await store.duty.reclaim("w2") == (False, [], [])


async def test_while_someone_has_beaten_lately_the_dead_get_no_grace(store: Store, client: redis.Redis) -> None:
    now = clock(client)
    await store.duty.join("w3", LEASE)
    client.zadd(store.keys.leases, {"w1": now - 1, "w2": now - 2, "w3": now + 25_000})  # w3: 5 s ago

    assert (await beat(store, "w1", 30_000)).lost == ["w2"]
    assert lease(client, store, "w2") == now - 2


async def test_leases_are_whole_milliseconds(store: Store, client: redis.Redis) -> None:
    await store.duty.join("w1", LEASE)
    await beat(store)

    assert lease(client, store).is_integer()
    assert len(str(int(lease(client, store)))) == 13


async def test_the_leases_of_an_abandoned_queue_go_by_themselves(store: Store, client: redis.Redis) -> None:
    await store.duty.join("w1", LEASE)
    month = 30 * 24 * 3_600
    assert month - 100 < client.ttl(store.keys.leases) <= month

    client.delete(store.keys.leases)
    assert (await beat(store)).lapsed
    assert month - 100 < client.ttl(store.keys.leases) <= month


# Join


async def test_whoever_joins_has_a_lease_and_both_lanes(store: Store, client: redis.Redis) -> None:
    before = clock(client)
    await store.duty.join("w1", LEASE)

    assert before + LEASE <= lease(client, store) <= clock(client) + LEASE
    assert [group["name"] for group in client.xinfo_groups(store.keys.main)] == [b"workers"]
    assert [group["name"] for group in client.xinfo_groups(store.keys.front)] == [b"workers"]


async def test_jobs_that_waited_before_anyone_joined_are_served(store: Store) -> None:
    await put(store, "a")
    await put(store, "b", front=True)

    assert [each.record.id for each in await take(store)] == ["b", "a"]


async def test_to_join_twice_keeps_what_the_worker_holds(store: Store) -> None:
    claimed = await start(store)
    await store.duty.join("w1", LEASE)

    assert await end(store, (claimed, Finished(b"p", 60_000))) == ["ok"]


async def test_idle_consumers_without_a_worker_do_not_pile_up(store: Store, client: redis.Redis) -> None:
    for number in range(20):
        await store.duty.join(f"w{number}", LEASE)
        await claim(store, f"w{number}")

    assert len(client.xinfo_consumers(store.keys.main, "workers")) <= 1


async def test_a_consumer_that_holds_jobs_is_left_alone(store: Store, client: redis.Redis) -> None:
    claimed = await start(store)
    await store.duty.join("w2", LEASE)

    assert [each["name"] for each in client.xinfo_consumers(store.keys.front, "workers")] == [b"w1"]
    assert await end(store, (claimed, Finished(b"p", 60_000))) == ["ok"]


# Leave


async def test_the_last_one_to_leave_takes_the_empty_lanes_away(store: Store, client: redis.Redis) -> None:
    await store.duty.join("w1", LEASE)
    await store.duty.join("w2", LEASE)
    assert await store.duty.leave("w1")
    assert client.exists(store.keys.main, store.keys.front) == 2
    assert await store.duty.leave("w2")

    assert not client.exists(store.keys.main, store.keys.front, store.keys.leases)


async def test_lanes_with_jobs_stay(store: Store, client: redis.Redis) -> None:
    await put(store, "a")
    await store.duty.join("w1", LEASE)
    await store.duty.leave("w1")

    assert client.xlen(store.keys.main) == 1
    assert [each.record.id for each in await take(store, "w2")] == ["a"]


async def test_a_worker_that_holds_jobs_does_not_leave(store: Store, client: redis.Redis) -> None:
    claimed = await start(store)

    with unchanged(client):
        assert not await store.duty.leave("w1")

    await end(store, (claimed, Finished(b"p", 60_000)))
    assert await store.duty.leave("w1")


async def test_to_leave_twice_is_harmless(store: Store, client: redis.Redis) -> None:
    await store.duty.join("w1", LEASE)
    await store.duty.join("w2", LEASE)
    await store.duty.leave("w1")

    with unchanged(client):
        assert await store.duty.leave("w1")


async def test_whoever_leaves_wakes_another_who_stays(store: Store, client: redis.Redis) -> None:
    await store.duty.join("w1", LEASE)
    await store.duty.join("w2", LEASE)
    await store.duty.leave("w1")

    assert client.llen(store.keys.wake) == 1


# The end of the next lease


async def test_a_beat_that_finds_the_dead_tells_the_end_of_the_next_lease_too(
    store: Store, client: redis.Redis
) -> None:
    for worker in ("w1", "w2", "w3", "w4"):
        await store.duty.join(worker, LEASE)

    client.zadd(store.keys.leases, {"w2": clock(client) - 5, "w3": clock(client) + 20_000})
    found = await beat(store)

    assert found.lost == ["w2"]
    assert 19_000 < found.next_end_ms <= 20_000


# A clock that was set


def ends(client: redis.Redis, store: Store) -> dict[str, float]:
    """In how many seconds the lease of each worker ends."""
    now = clock(client)

    return {
        name.decode(): (moment - now) / 1000
        for name, moment in client.zrange(store.keys.leases, 0, -1, withscores=True)
    }


async def set_back(client: redis.Redis, store: Store, seconds: float) -> None:
    """What stands there after the clock was set back: all leases are further away."""
    for name in client.zrange(store.keys.leases, 0, -1):
        client.zincrby(store.keys.leases, 1000 * seconds, name)


@pytest.mark.parametrize("seconds", [10, 600, 10**9])
@pytest.mark.parametrize("others", [1, 5])
async def test_after_a_step_back_no_lease_ends_later_than_one_from_now(
    store: Store, client: redis.Redis, seconds: int, others: int
) -> None:
    for worker in ("w1", *(f"other{number}" for number in range(others))):
        await store.duty.join(worker, LEASE)

    await set_back(client, store, seconds)
    found = await beat(store)

    assert (found.lapsed, found.lost) == (False, [])
    assert 0 < found.next_end_ms <= LEASE
    assert len(ends(client, store)) == others + 1
    assert all(LEASE / 1000 - 5 < end <= LEASE / 1000 for end in ends(client, store).values())


async def test_a_worker_that_comes_after_a_step_back_finds_the_dead(store: Store, client: redis.Redis) -> None:
    await start(store, "a", "dead")
    await set_back(client, store, 600)
    await store.duty.join("new", LEASE)
    await beat(store, "new")

    assert ends(client, store)["dead"] <= LEASE / 1000


async def test_the_dead_are_found_beside_workers_that_beat_after_a_step_back(
    store: Store, client: redis.Redis
) -> None:
    for worker in ("dead", "w1", "w2", "w3"):
        await store.duty.join(worker, LEASE)

    await set_back(client, store, 600)

    for worker in ("w1", "w2", "w3"):
        await beat(store, worker)

    assert all(end <= LEASE / 1000 for end in ends(client, store).values())


@pytest.mark.parametrize("seconds", [61, 600, 10**9])
async def test_after_a_step_forward_nobody_is_declared_dead(
    store: Store, client: redis.Redis, seconds: int
) -> None:
    for worker in ("w1", "w2", "w3"):
        await store.duty.join(worker, LEASE)

    await set_back(client, store, -seconds)
    found = [await beat(store, worker) for worker in ("w1", "w2", "w3")]

    assert [(each.lapsed, each.lost) for each in found] == [(False, [])] * 3
    assert all(end > 0 for end in ends(client, store).values())


# Who holds jobs


async def holders(store: Store, worker: str = "w1") -> dict[bytes, float]:
    return read_holders(await store.connection.call(store.duty.holders_command(worker)))


async def test_nobody_holds_jobs_of_a_queue_that_is_not_there(store: Store) -> None:
    assert await holders(store) == {}
    assert await store.duty.late_workers() == []


async def test_other_workers_that_hold_jobs_are_named_with_their_leases(store: Store, client: redis.Redis) -> None:
    await put(store, "a", "b", "c")
    await put(store, "d", front=True)
    await take(store, "w1", 1)
    await take(store, "w2", 2)
    await store.duty.join("idle", LEASE)

    assert await holders(store, "w1") == {b"w2": client.zscore(store.keys.leases, "w2")}
    assert set(await holders(store, "idle")) == {b"w1", b"w2"}


async def test_a_holder_without_a_lease_is_named_too(store: Store, client: redis.Redis) -> None:
    await start(store, "a", "w2")
    client.delete(store.keys.leases)

    assert await holders(store) == {b"w2": 0}


async def test_whoever_holds_jobs_with_a_lease_that_has_ended_is_late(store: Store, client: redis.Redis) -> None:
    await put(store, "a", "b")
    await take(store, "w1", 1)
    await take(store, "w2", 1)
    await store.duty.join("idle", 1)
    client.zadd(store.keys.leases, {"w2": clock(client) - 1_000})
    await passed(client, clock(client) + 1)

    assert await store.duty.late_workers() == ["w2"]
