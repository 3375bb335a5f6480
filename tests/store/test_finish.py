from __future__ import annotations

import pytest
import redis

from aioq.store import Store
from aioq.store.producing import REPEATED_MS
from aioq.values.outcome import Failed, Finished, Retried
from aioq.values.record import JobRecord
from aioq.values.states import JobStatus
from tests.store.tools import (
    DAY_MS,
    audit,
    calls,
    claim,
    clock,
    end,
    fields,
    listening,
    passed,
    pending,
    put,
    start,
    status,
    take,
    unchanged,
)

EVERY_BYTE = bytes(range(256)) * 3


async def test_a_finished_job_keeps_its_result_and_leaves_its_lane(store: Store, client: redis.Redis) -> None:
    claimed = await start(store, data=EVERY_BYTE)
    before = clock(client)
    assert await end(store, (claimed, Finished(EVERY_BYTE, 60_000))) == ["ok"]
    stored = fields(client, store)
    ended_at = int(stored[b"ended_at"])

    assert (stored[b"status"], stored[b"result"], stored[b"data"]) == (b"finished", EVERY_BYTE, EVERY_BYTE)
    assert before <= ended_at <= clock(client)
    assert client.xlen(store.keys.front) == 0
    assert int(client.zscore(store.keys["finished"], "a")) == ended_at
    assert client.zscore(store.keys["finished"] + b":until", "a") == ended_at + 60_000
    assert client.pexpiretime(store.keys.job + b"a") == ended_at + 60_000


async def test_a_result_can_be_kept_for_ever(store: Store, client: redis.Redis) -> None:
    await end(store, (await start(store), Finished(b"p", -1)))

    assert client.ttl(store.keys.job + b"a") == client.ttl(store.keys["finished"]) == -1
    assert not client.exists(store.keys["finished"] + b":until")


async def test_without_retention_the_result_is_dropped_and_the_end_can_be_seen_a_moment(
    store: Store, client: redis.Redis
) -> None:
    claimed = await start(store, data=b"p1", **{"meta.a": b"p2"})
    assert await end(store, (claimed, Finished(b"p3", 0))) == ["ok"]
    stored = fields(client, store)

    assert stored[b"status"] == b"finished"
    assert b"data" not in stored
    assert stored[b"result"] == b""  # no result has no bytes, so this says that it was not kept
    assert 0 < client.pttl(store.keys.job + b"a") <= 5_000
    assert DAY_MS < client.pttl(store.keys["finished"]) <= DAY_MS + 5_000
    assert await end(store, (claimed, Finished(b"p3", 0))) == ["already"]


async def test_the_same_call_twice_is_harmless(store: Store, client: redis.Redis) -> None:
    claimed = await start(store)
    await end(store, (claimed, Finished(b"p1", 60_000)))

    with unchanged(client):
        assert await end(store, (claimed, Finished(b"p1", 60_000))) == ["already"]


async def test_a_run_that_has_lost_its_claim_records_nothing(store: Store, client: redis.Redis) -> None:
    stale = await start(store)
    await end(store, (stale, Retried("boom", 0)))

    with unchanged(client):
        assert await end(store, (stale, Finished(b"p", 60_000))) == ["stale"]

    (newer,) = await take(store)

    with unchanged(client):
        assert await end(store, (stale, Finished(b"p", 60_000))) == ["stale"]
        assert await end(store, (newer._replace(fence=3), Finished(b"p", 60_000))) == ["stale"]

    assert await end(store, (newer, Finished(b"p", 60_000))) == ["ok"]


@pytest.mark.parametrize("verb", ["cancel", "stop", "fail"])
async def test_a_run_that_was_ended_otherwise_is_not_recorded_over_it(
    verb: str, store: Store, client: redis.Redis
) -> None:
    claimed = await start(store)

    if verb == "fail":
        await end(store, (claimed, Failed("boom")))
    else:
        await getattr(store.changes, verb)("a")

    with unchanged(client):
        assert await end(store, (claimed, Finished(b"p", 60_000))) == ["stale"]


async def test_a_run_of_a_deleted_job_is_not_recorded(store: Store, client: redis.Redis) -> None:
    claimed = await start(store)
    await store.changes.delete(["a"])

    with unchanged(client):
        assert await end(store, (claimed, Finished(b"p", 60_000))) == ["gone"]


async def test_one_bad_run_does_not_hold_up_the_others(store: Store) -> None:
    await put(store, "a", "b", "c")
    a, b, c = await take(store)
    await store.changes.delete(["b"])
    outcome = Finished(b"p", 60_000)

    assert await end(store, (a, outcome), (b, outcome), (c._replace(fence=9), outcome)) == ["ok", "gone", "stale"]
    assert [await status(store, each) for each in "abc"] == ["finished", None, "started"]


async def test_a_run_that_stands_twice_in_one_call_is_recorded_once(store: Store, client: redis.Redis) -> None:
    claimed = await start(store)
    outcome = Finished(b"p", 60_000)
    await store.producing.wait("channel", ["a"])

    with listening(client, "channel") as messages:
        await end(store, (claimed, outcome), (claimed, outcome))

        assert messages() in ([b"a finished 1\np"], [b"a finished 1\npa finished 1\np"])

    assert (await store.reads.count())["finished"] == 1


async def test_success_after_a_retry_ends_the_old_error_and_the_history_in_time(
    store: Store, client: redis.Redis
) -> None:
    await end(store, (await start(store), Retried("boom", 0)))
    (second,) = await take(store)
    await end(store, (second, Finished(b"p", 60_000)))

    assert b"error" not in fields(client, store)
    assert client.pexpiretime(store.keys.attempts + b"a") == client.pexpiretime(store.keys.job + b"a") > 0


async def test_a_history_is_kept_for_ever_with_its_job(store: Store, client: redis.Redis) -> None:
    await end(store, (await start(store), Retried("boom", 0)))
    (second,) = await take(store)
    await end(store, (second, Finished(b"p", -1)))

    assert client.ttl(store.keys.attempts + b"a") == -1


async def test_a_registry_holds_short_long_and_endless_retentions_side_by_side(
    store: Store, client: redis.Redis
) -> None:
    await put(store, *"abc")
    a, b, c = await take(store)
    await end(store, (a, Finished(b"p", 10)), (b, Finished(b"p", 60_000)))
    await end(store, (c, Finished(b"p", -1)))
    await passed(client, clock(client) + 10)

    assert (await store.reads.count())["finished"] == 2
    assert (await store.reads.ids(JobStatus.FINISHED))[0] == ["b", "c"]
    assert [await status(store, each) for each in "abc"] == [None, "finished", "finished"]

    # With the endless one goes the reason to keep the registry for ever.
    await store.changes.delete(["c"])
    last = client.pexpiretime(store.keys.job + b"b")
    assert client.pexpiretime(store.keys["finished"]) == last + DAY_MS
    assert client.pexpiretime(store.keys["finished"] + b":until") == last + DAY_MS


async def test_a_short_retention_beside_an_endless_one_is_not_forgotten(store: Store, client: redis.Redis) -> None:
    await put(store, *"ab")
    a, b = await take(store)
    await end(store, (a, Finished(b"p", -1)))
    await end(store, (b, Finished(b"p", 10)))
    await passed(client, clock(client) + 20)

    assert (await store.reads.count())["finished"] == 1
    assert (await store.reads.ids(JobStatus.FINISHED))[0] == ["a"]

    while await store.duty.sweep():
        pass

    assert client.zrange(store.keys["finished"], 0, -1) == [b"a"]


async def test_a_shorter_retention_does_not_shorten_that_of_the_registry(
    store: Store, client: redis.Redis
) -> None:
    await put(store, *"ab")
    a, b = await take(store)
    await end(store, (a, Finished(b"p", 60_000)))
    await end(store, (b, Finished(b"p", 10)))

    assert client.pttl(store.keys["finished"]) > DAY_MS + 50_000
    assert client.pttl(store.keys["finished"] + b":until") > DAY_MS + 50_000


async def test_more_runs_than_lua_unpacks_at_once_are_recorded_in_one_call(
    store: Store, client: redis.Redis
) -> None:
    total = 9_000
    ids = [f"j{number}" for number in range(total)]

    for number in range(0, total, 500):
        await put(store, *ids[number : number + 500])

    claims = await take(store, limit=total)
    assert set(await end(store, *((each, Finished(b"p", 60_000)) for each in claims))) == {"ok"}
    assert (await store.reads.count())["finished"] == total
    assert client.xlen(store.keys.main) == 0
    assert client.zcard(store.keys["finished"] + b":until") == total
    client.flushall()


async def test_those_who_wait_are_told_the_result_and_are_not_kept(store: Store, client: redis.Redis) -> None:
    claimed = await start(store)
    await store.producing.wait("one", ["a"])
    await store.producing.wait("two", ["a"])

    with listening(client, "one", "two") as messages:
        await end(store, (claimed, Finished(EVERY_BYTE, 60_000)))

        assert sorted(messages()) == [b"a finished 768\n" + EVERY_BYTE] * 2

    assert b"after" not in fields(client, store)


async def test_ends_of_one_call_travel_to_a_channel_in_one_message(store: Store, client: redis.Redis) -> None:
    await put(store, *"abc")
    claims = await take(store)
    await store.producing.wait("one", ["a", "b"])

    with listening(client, "one") as messages:
        await end(store, *((each, Finished(b"p", 60_000)) for each in claims))

        assert messages() == [b"a finished 1\npb finished 1\np"]


@pytest.mark.parametrize(("size", "told"), [(4_096, True), (4_097, False), (100_000, False)])
async def test_a_long_result_is_left_to_be_loaded(
    size: int, told: bool, store: Store, client: redis.Redis
) -> None:
    claimed = await start(store)
    await store.producing.wait("one", ["a"])

    with listening(client, "one") as messages:
        await end(store, (claimed, Finished(b"x" * size, 60_000)))

        assert messages() == [b"a finished %d\n" % size + b"x" * size if told else b"a finished -\n"]


async def test_a_long_result_that_is_not_kept_travels_in_the_message(store: Store, client: redis.Redis) -> None:
    claimed = await start(store)
    await store.producing.wait("one", ["a"])

    with listening(client, "one") as messages:
        await end(store, (claimed, Finished(b"x" * 5_000, 0)))

        assert messages() == [b"a finished 5000\n" + b"x" * 5_000]


async def test_nobody_waits_and_nothing_is_published(store: Store, client: redis.Redis) -> None:
    claimed = await start(store)
    before = calls(client, "publish")
    await end(store, (claimed, Finished(b"p", 60_000)))

    assert calls(client, "publish") == before


async def test_a_drained_queue_leaves_only_its_registration(store: Store, client: redis.Redis) -> None:
    claimed = await start(store)
    await end(store, (claimed, Finished(b"p", 20)))
    assert await store.duty.leave("w1")
    client.delete(store.keys.wake)
    await passed(client, clock(client) + 20)
    await store.duty.sweep()
    tombstone = store.keys.gone + b"a/"

    assert client.pttl(store.keys.departed) > 0
    assert set(client.scan_iter()) == {b"aioq:queues", store.keys.format, store.keys.departed, tombstone}
    assert 0 < client.pttl(tombstone) <= REPEATED_MS
    assert audit(client, store) == []


async def test_a_record_of_another_version_keeps_what_it_has(store: Store, client: redis.Redis) -> None:
    claimed = await start(store, flavour=b"new")
    await end(store, (claimed, Finished(b"p", 60_000)))
    (record,) = await store.reads.load(["a"])

    assert isinstance(record, JobRecord)
    assert record.fields[b"flavour"] == b"new"


async def test_the_claim_of_another_queue_s_job_is_gone_here(store: Store) -> None:
    other = Store(store.connection, "other")
    claimed = await start(store)

    assert await end(other, (claimed, Finished(b"p", 60_000))) == ["gone"]
    assert (await claim(store)).jobs == []


async def test_many_that_end_together_leave_their_lane_whatever_is_older_or_newer(
    store: Store, client: redis.Redis
) -> None:
    await put(store, *(f"j{number}" for number in range(60)))
    claimed = await take(store, limit=50)
    await end(store, *((each, Finished(b"p", 60_000)) for each in claimed[10:30]))  # older ones still run
    assert [client.xlen(store.keys.main), len(pending(client, store.keys.main))] == [40, 30]
    assert audit(client, store) == []

    before = calls(client, "xdel")
    await end(store, *((each, Failed("boom")) for each in claimed[:10] + claimed[30:40]))  # no older one runs
    assert [client.xlen(store.keys.main), len(pending(client, store.keys.main))] == [20, 10]
    assert calls(client, "xdel") == before
    assert audit(client, store) == []

    await end(store, *((each, Finished(b"p", 60_000)) for each in claimed[40:]))  # none runs at all
    assert [client.xlen(store.keys.main), len(pending(client, store.keys.main))] == [10, 0]
    assert audit(client, store) == []


async def test_many_can_end_although_the_group_of_their_lane_is_gone(store: Store, client: redis.Redis) -> None:
    await put(store, *(f"j{number}" for number in range(20)))
    claimed = await take(store, limit=20)
    client.xgroup_destroy(store.keys.main, "workers")
    assert await end(store, *((each, Finished(b"p", 60_000)) for each in claimed)) == ["ok"] * 20
    assert client.xlen(store.keys.main) == 0
