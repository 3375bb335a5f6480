"""tally, statistics and forget_statistics; and the list of workers that have left."""

from __future__ import annotations

import pytest
import redis

from aioq.store import Connection, Store
from aioq.store.statistics import Statistics
from aioq.values.departed import MOST_HELD, DepartedWorker
from aioq.values.figures import COUNTERS, RUN, WAIT, pack_figures
from tests.store.tools import LEASE, beat, put, start, take

MINUTE_MS, DAY_MS = 60_000, 86_400_000


@pytest.fixture
def statistics(store: Store) -> Statistics:
    return store.statistics


def pages(client: redis.Redis, store: Store) -> list[bytes]:
    base = store.keys.minutes.removesuffix(b"minutes:")
    return [key for key in client.keys() if key.startswith((base + b"minutes:", base + b"hours:"))]


async def test_a_tally_is_in_its_minute_and_in_its_hour_and_counts_once(statistics: Statistics) -> None:
    assert await statistics.tally("w1", 1, "finished=2 w30=2")
    assert await statistics.tally("w2", 1, "finished=3 w30=1 w40=2")
    assert not await statistics.tally("w1", 1, "finished=2 w30=2")  # the same call, sent again
    assert await statistics.tally("w1", 2, "failed=1")
    assert not await statistics.tally("w1", 1, "finished=2 w30=2")  # and delayed for long

    for found in (await statistics.read("minute"), await statistics.read("hour")):
        assert (found.total.finished, found.total.failed) == (5, 1)
        assert found.total.wait.counts == {30: 3, 40: 2}

    assert len((await statistics.read("hour")).periods) == 25


async def test_the_backlog_is_sampled_once_a_minute(
    store: Store, statistics: Statistics, client: redis.Redis
) -> None:
    await store.duty.join("w1", LEASE)
    await put(store, "a", "b", "c")
    await take(store, limit=1)
    await statistics.tally("w1", 1, "")
    await put(store, "d")
    await statistics.tally("w1", 2, "")

    found = await statistics.read("minute")
    sampled = [each for each in found.periods if each.waiting is not None]

    if len(sampled) == 1:  # else a minute began in between
        assert (sampled[0].waiting, sampled[0].running, sampled[0].arrived) == (2, 1, 1)

    assert (found.backlog.waiting, found.backlog.running, found.backlog.workers) == (3, 1, 1)
    assert found.backlog.oldest_age is not None
    assert 0 <= found.backlog.oldest_age < 60


async def test_the_pages_go_and_so_does_what_makes_a_call_count_once(
    store: Store, statistics: Statistics, client: redis.Redis
) -> None:
    await statistics.tally("w1", 1, "finished=2")
    lives = {key.split(b":")[2]: client.pttl(key) for key in [*pages(client, store), store.keys.tallied + b"w1"]}
    assert DAY_MS < lives[b"minutes"] <= DAY_MS + 60 * MINUTE_MS
    assert 30 * DAY_MS < lives[b"hours"] <= 31 * DAY_MS
    assert 0 < lives[b"tallied"] <= 10 * MINUTE_MS

    await statistics.forget()
    assert pages(client, store) == []
    assert (await statistics.read("hour", "30d")).total.finished == 0


async def test_what_is_kept_is_bounded(store: Store, statistics: Statistics, client: redis.Redis) -> None:
    """docs/statistics.md has the figures: of an hour with sixty minutes, and of a day with its hours."""
    words = dict.fromkeys(COUNTERS, 123_456)
    words |= {f"{letter}{at}": 12_345 for letter in (WAIT, RUN) for at in range(20, 35)}
    packed = pack_figures(words)
    await statistics.tally("w1", 1, packed)

    for key in pages(client, store):
        value = next(iter(client.hgetall(key).values()))

        for field in range(60 if b"minutes" in key else 24):
            client.hset(key, str(field), value)

    size = {key.split(b":")[2]: client.memory_usage(key, samples=0) for key in pages(client, store)}
    assert size[b"minutes"] < 40_000
    assert size[b"hours"] < 16_000


async def test_damaged_pages_are_read_as_far_as_they_can_be(
    store: Store, statistics: Statistics, client: redis.Redis
) -> None:
    await statistics.tally("w1", 1, "finished=2")

    for key in pages(client, store):
        client.hset(key, mapping={b"\xff": b"finished=9", b"61": b"finished=9", b"-1": b"x", b"59999999999": b"x"})

        if b":minutes:" in key:
            client.hset(key, next(iter(client.hkeys(key))), b"\xff finished=7 w999=1 failed=x =5")

    assert (await statistics.read("minute")).total.finished == 7
    assert await statistics.tally("w1", 2, "finished=1")
    assert (await statistics.read("minute")).total.finished == 8
    await statistics.forget()


async def test_callbacks_that_their_workers_took_along_are_not_counted(
    store: Store, statistics: Statistics, client: redis.Redis
) -> None:
    await put(store, "a.1.on_success", "b", deliveries=b"3", deaths=b"1 w\n" * 3)
    await take(store)
    client.hset(store.keys.job + b"a.1.on_success", "is_alone", 1)  # so it fails, and the other one goes back
    assert await store.duty.reclaim("w1", reaped=True) == (False, ["b"], ["a.1.on_success"])

    total = (await statistics.read("minute")).total
    assert (total.lost, total.failed) == (1, 0)


async def test_who_left_and_why(store: Store, statistics: Statistics) -> None:
    for name, reason in (("w1", "signal"), ("w2", ""), ("w3", "limit")):
        await store.duty.join(name, LEASE)
        assert await store.duty.leave(name, reason)
        assert await store.duty.leave(name, reason)  # the same call, sent again

    found = await statistics.departed()
    assert [(each.name, each.reason, each.held) for each in found] == [("w3", "limit", 0), ("w1", "signal", 0)]
    assert await statistics.departed(1) == found[:1]
    assert await statistics.departed(0) == []


async def test_a_lost_worker_is_listed_once_with_what_it_held(store: Store, statistics: Statistics) -> None:
    await store.duty.join("w1", LEASE)
    ids = [f"job{number:03}" for number in range(120)]
    await put(store, *ids)
    await take(store, limit=120)
    more = True

    while more:
        more, _, _ = await store.duty.reclaim("w1", reaped=True)

    await store.duty.reclaim("w1", reaped=True)
    (left,) = await statistics.departed()
    assert (left.name, left.reason, left.held) == ("w1", "died", 120)
    assert len(left.job_ids) == MOST_HELD
    assert set(left.job_ids) <= set(ids)
    assert (await statistics.read("minute")).total.lost == 120


async def test_the_list_of_those_that_left_is_bounded_and_bears_damage(
    store: Store, statistics: Statistics, client: redis.Redis
) -> None:
    key = store.keys.departed
    client.zadd(key, {f'["old{number}","lost",0]': number for number in range(5)})  # from 1970
    client.zadd(key, {b"\xff{": 9e15, b'"text"': 9e15, b'["w",1,[],2]': 9e15, b"[" * 5000: 9e15})
    await store.duty.join("w\xe9", LEASE)
    await store.duty.leave("w\xe9")
    assert [each.name for each in await statistics.departed()] == ["w\xe9"]
    assert 0 < client.pttl(key) <= 30 * DAY_MS
    client.zadd(key, {f'["w{number}","lost",0]': 8e15 for number in range(1_200)})
    await store.duty.join("w1", LEASE)
    await store.duty.leave("w1")
    assert client.zcard(key) == 1_000


async def test_another_worker_takes_the_place_of_one_whose_lease_ended(
    store: Store, statistics: Statistics, client: redis.Redis
) -> None:
    await store.duty.join("w1", LEASE)
    await start(store)
    client.zadd(store.keys.leases, {"w1": 1})
    await store.duty.join("w2", LEASE)
    await beat(store, "w2")
    client.zadd(store.keys.leases, {"w1": 1})
    await store.duty.reclaim("w1")
    (left,) = await statistics.departed()
    assert left == DepartedWorker("w1", left.left_at, "lost", 1, ("a",))


async def test_each_queue_has_its_own(connection: Connection, statistics: Statistics) -> None:
    await statistics.tally("w1", 1, "finished=2")
    assert (await Store(connection, "other").statistics.read("minute")).total.finished == 0
