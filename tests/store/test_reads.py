"""Reads: load, count, ids. They never write, and see what time has done before any worker has looked."""

from __future__ import annotations

import pytest
import redis

from aioq.store import Store
from aioq.values.counts import Counts
from aioq.values.options import EXPIRED_TTL_MS
from aioq.values.states import JobStatus
from tests.store.tools import LATE, bring, clock, fields, job, passed, put, start, take, unchanged


@pytest.fixture
async def every_state(store: Store, client: redis.Redis) -> list[str]:
    others = [state.value for state in JobStatus if state != "expired"]
    states = ["expired", *others, LATE]

    for state in states:
        await bring(store, client, state, state)

    return states


async def test_reads_write_nothing(store: Store, client: redis.Redis, every_state: list[str]) -> None:
    with unchanged(client):
        await store.reads.load([*every_state, "gone"])
        await store.reads.count()
        await store.reads.attempts("started")
        await store.reads.is_paused()

        for state in JobStatus:
            await store.reads.ids(state)
            await store.reads.ids(state, desc=True, before_ms=1)


async def test_every_job_is_counted_once_and_listed_once(store: Store, every_state: list[str]) -> None:
    assert await store.reads.count() == Counts(dict.fromkeys(JobStatus, 1) | {"expired": 2}, 1)

    for state in JobStatus:
        ids, _ = await store.reads.ids(state)
        assert ids == (["expired", LATE] if state == "expired" else [state])


async def test_an_empty_queue_counts_nothing(store: Store, client: redis.Redis) -> None:
    with unchanged(client):
        assert await store.reads.count() == Counts(dict.fromkeys(JobStatus, 0), 0)

        for state in JobStatus:
            assert (await store.reads.ids(state))[0] == []


async def test_records_come_in_the_order_that_was_asked_for(store: Store) -> None:
    await put(store, "a", "b")
    found = await store.reads.load(["b", "gone", "a", "b"])

    assert [each and each.id for each in found] == ["b", None, "a", "b"]
    assert await store.reads.load([]) == []


async def test_the_clock_comes_with_the_ids(store: Store, client: redis.Redis) -> None:
    before = clock(client)
    _, now = await store.reads.ids(JobStatus.QUEUED)

    assert before <= now <= clock(client)


async def test_a_lane_is_listed_as_it_will_be_claimed(store: Store) -> None:
    await start(store, "first")
    await put(store, "c", "d")
    await put(store, "a", "b", front=True)

    assert (await store.reads.ids(JobStatus.QUEUED))[0] == ["a", "b", "c", "d"]
    assert (await store.reads.ids(JobStatus.QUEUED, 1, 2))[0] == ["b", "c"]
    assert (await store.reads.ids(JobStatus.QUEUED, 3, 5))[0] == ["d"]
    assert (await store.reads.ids(JobStatus.QUEUED, 4, 5))[0] == []
    assert (await store.reads.ids(JobStatus.QUEUED, 0, 0))[0] == []


async def test_started_jobs_are_listed_in_pages(store: Store) -> None:
    await put(store, *"abc")
    await put(store, *"xy", front=True)
    await take(store)

    assert (await store.reads.ids(JobStatus.STARTED))[0] == ["x", "y", "a", "b", "c"]
    assert (await store.reads.ids(JobStatus.STARTED, 1, 3))[0] == ["y", "a", "b"]


async def test_a_long_lane_is_listed_to_its_end(store: Store, client: redis.Redis) -> None:
    ids = [f"j{number}" for number in range(2_500)]

    for number in range(0, 2_500, 500):
        await put(store, *ids[number : number + 500])

    assert (await store.reads.ids(JobStatus.QUEUED, 0, 5_000))[0] == ids
    assert (await store.reads.ids(JobStatus.QUEUED, 1_999, 3))[0] == ids[1_999:2_002]
    client.flushall()


async def test_a_long_registry_is_listed_both_ways_to_its_end(store: Store, client: redis.Redis) -> None:
    ids = [f"j{number:04}" for number in range(2_500)]

    for number in range(0, 2_500, 500):
        await store.producing.enqueue_many(
            [job(each, due=f"+{60_000 + int(each[1:])}") for each in ids[number : number + 500]]
        )

    assert sorted((await store.reads.ids(JobStatus.SCHEDULED, 0, 5_000))[0]) == ids
    assert (await store.reads.ids(JobStatus.SCHEDULED, 998, 4, desc=True))[0] == list(
        reversed((await store.reads.ids(JobStatus.SCHEDULED, 1_498, 4))[0])
    )
    client.flushall()


@pytest.mark.parametrize("desc", [False, True])
async def test_a_registry_is_in_the_order_in_which_jobs_ended(
    desc: bool, store: Store, client: redis.Redis
) -> None:
    for each in "cab":
        await bring(store, client, "failed", each)
        await passed(client, clock(client))

    assert (await store.reads.ids(JobStatus.FAILED, desc=desc))[0] == list("bac" if desc else "cab")
    assert (await store.reads.ids(JobStatus.FAILED, 1, 1, desc=desc))[0] == ["a"]


@pytest.mark.parametrize("desc", [False, True])
async def test_expired_jobs_are_in_the_order_of_their_deadlines_whoever_has_looked(
    desc: bool, store: Store, client: redis.Redis
) -> None:
    for each in "cab":
        await bring(store, client, "expired", each)

    for each in "zxy":
        await bring(store, client, LATE, each)

    for page in (1, 2, 3, 10):
        listed = [
            job_id
            for offset in range(0, 6, page)
            for job_id in (await store.reads.ids(JobStatus.EXPIRED, offset, page, desc=desc))[0]
        ]
        assert listed == list("yxzbac" if desc else "cabzxy")


async def test_only_what_was_there_before_a_moment_can_be_asked_for(store: Store, client: redis.Redis) -> None:
    for state, first, second in (("failed", "a", "b"), ("expired", "c", "d"), (LATE, "e", "f")):
        await bring(store, client, state, first)
        _, now = await store.reads.ids(JobStatus.QUEUED)
        await passed(client, now)
        await bring(store, client, state, second)
        seen = JobStatus.EXPIRED if state == LATE else JobStatus(state)
        listed = (await store.reads.ids(seen, before_ms=now))[0]

        assert first in listed
        assert second not in listed


async def test_a_late_job_is_seen_as_expired_with_the_moment_of_its_deadline(
    store: Store, client: redis.Redis
) -> None:
    await bring(store, client, LATE)
    (record,) = await store.reads.load(["a"])

    assert record is not None
    assert record.status == JobStatus.EXPIRED
    assert record.fields[b"ended_at"] == fields(client, store)[b"expires_at"]


async def test_a_late_job_in_the_lane_does_not_hide_those_behind_it(store: Store, client: redis.Redis) -> None:
    for front in (True, False):
        await put(store, f"a{front}", ttl_ms=1, front=front)
        await put(store, f"b{front}", front=front)
        await put(store, f"c{front}", ttl_ms=60_000, front=front)

    await passed(client, clock(client) + 1)

    assert (await store.reads.ids(JobStatus.QUEUED))[0] == ["bTrue", "cTrue", "bFalse", "cFalse"]
    assert (await store.reads.ids(JobStatus.QUEUED, 1, 2))[0] == ["cTrue", "bFalse"]
    assert (await store.reads.count()).queued == 4


async def test_a_job_that_ran_out_unseen_is_not_counted_when_its_hash_is_gone(
    store: Store, client: redis.Redis, ghosts: None
) -> None:
    await put(store, "a", ttl_ms=1)
    (entry,) = client.zrange(store.keys.expiring, 0, -1)
    long_ago = clock(client) - EXPIRED_TTL_MS - 10
    client.zadd(store.keys.expiring, {entry: long_ago})
    client.delete(store.keys.job + b"a")

    assert await store.reads.count() == Counts(dict.fromkeys(JobStatus, 0), 0)
    assert (await store.reads.ids(JobStatus.EXPIRED))[0] == []
    assert (await store.reads.ids(JobStatus.QUEUED))[0] == []
    assert await take(store) == []
    assert client.xlen(store.keys.main) == 0
    assert not client.exists(store.keys.expiring)


async def test_payloads_of_any_bytes_are_loaded_as_they_are(store: Store) -> None:
    data = bytes(range(256)) + b"\r\n$5\r\n"
    await put(store, "a", data=data)
    (record,) = await store.reads.load(["a"])

    assert record is not None
    assert record.fields[b"data"] == data
