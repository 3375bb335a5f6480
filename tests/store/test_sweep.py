"""Retention: what is past it is gone for every reader at once, and from the server soon."""

from __future__ import annotations

from pathlib import Path

import pytest
import redis

import aioq.store
from aioq.store import Store
from aioq.store.duty import JOBS_PER_CALL
from aioq.store.producing import LONGEST_REPEAT_MS, REPEATED_MS
from aioq.values.options import RESULT_TTL_MS
from aioq.values.outcome import Failed, Finished
from aioq.values.states import FINAL, JobStatus
from tests.store.tools import DAY_MS, USUAL, bring, clock, end, passed, put, start, take, unchanged

LUA = Path(aioq.store.__file__).parent / "lua"


async def ended(store: Store, client: redis.Redis, ids: list[str], ttl_ms: int) -> None:
    await put(store, *ids)
    await end(store, *((each, Finished(b"p", ttl_ms)) for each in await take(store, limit=len(ids))))


async def test_what_is_past_its_retention_is_gone_before_any_sweep(store: Store, client: redis.Redis) -> None:
    await ended(store, client, ["a"], 20)
    await ended(store, client, ["b"], 60_000)
    await passed(client, clock(client) + 20)

    assert (await store.reads.count())["finished"] == 1
    assert (await store.reads.ids(JobStatus.FINISHED))[0] == ["b"]
    assert await store.reads.load(["a"]) == [None]
    assert client.zcard(store.keys["finished"]) == 2


async def test_what_is_forgotten_and_not_swept_does_not_hide_the_next_job_with_its_id(
    store: Store, client: redis.Redis
) -> None:
    await ended(store, client, ["a"], 1)
    await passed(client, clock(client) + 1)
    client.delete(store.keys.gone + b"a/")  # as if the first one had been enqueued long ago
    await ended(store, client, ["a"], -1)
    await store.duty.sweep()

    assert (await store.reads.count())["finished"] == 1
    assert (await store.reads.ids(JobStatus.FINISHED))[0] == ["a"]


async def test_a_sweep_takes_it_out_of_the_registry_and_its_companion(store: Store, client: redis.Redis) -> None:
    await ended(store, client, ["a"], 20)
    await ended(store, client, ["b"], 60_000)
    await passed(client, clock(client) + 20)
    assert await store.duty.sweep() is False

    assert client.zrange(store.keys["finished"], 0, -1) == [b"b"]
    assert client.zrange(store.keys["finished"] + b":until", 0, -1) == [b"b"]


async def test_a_sweep_changes_nothing_that_is_kept(store: Store, client: redis.Redis) -> None:
    await ended(store, client, ["a"], 60_000)
    await end(store, (await start(store, "b", failure_ttl=b"-1"), Failed("boom")))

    with unchanged(client):
        assert await store.duty.sweep() is False


async def test_a_sweep_comes_back_for_more_than_it_takes_at_once(store: Store, client: redis.Redis) -> None:
    await ended(store, client, ["keep"], 60_000)
    await ended(store, client, [f"j{number}" for number in range(JOBS_PER_CALL + 50)], 1)
    await passed(client, clock(client) + 1)

    assert [await store.duty.sweep(), await store.duty.sweep(), await store.duty.sweep()] == [True, False, False]
    assert client.zcard(store.keys["finished"]) == 1


@pytest.mark.parametrize("state", sorted(FINAL))
async def test_registries_go_by_themselves_if_nobody_ever_sweeps(
    state: JobStatus, store: Store, client: redis.Redis
) -> None:
    await bring(store, client, state)
    found = list(client.scan_iter(store.keys[state] + b"*"))

    assert found
    for key in found:
        assert client.pexpiretime(key) >= client.pexpiretime(store.keys.job + b"a") > 0


async def test_a_registry_stays_as_long_as_its_longest_member(store: Store, client: redis.Redis) -> None:
    await ended(store, client, ["a"], 60_000)
    await ended(store, client, ["b"], 20)
    await passed(client, clock(client) + 30)

    assert (await store.reads.ids(JobStatus.FINISHED))[0] == ["a"]


async def test_a_longer_retention_lets_a_registry_live_longer(store: Store, client: redis.Redis) -> None:
    await ended(store, client, ["a"], 5_000)
    await ended(store, client, ["b"], 60_000)

    assert client.pttl(store.keys["finished"]) > DAY_MS + 50_000
    assert client.pttl(store.keys["finished"] + b":until") > DAY_MS + 50_000


def test_how_long_a_call_may_be_sent_again_is_the_same_in_scripts_and_in_python() -> None:
    assert f"local REPEATED = {REPEATED_MS}\n" in (LUA / "lib" / "tombstone.lua").read_text()
    assert f"local LONG = {LONGEST_REPEAT_MS} " in (LUA / "doors" / "end_job.lua").read_text()
    assert min(USUAL.values()) >= LONGEST_REPEAT_MS, "a job with a usual retention leaves no tombstone"


async def make_old(store: Store, client: redis.Redis, *ids: str) -> None:
    """As if these finished jobs had ended longer ago than the usual retention."""
    long_ago = clock(client) - RESULT_TTL_MS

    for job_id in ids:
        client.zadd(store.keys["finished"] + b":usual", {job_id: long_ago}, xx=True)
        client.delete(store.keys.job + job_id.encode())


async def test_a_job_with_the_usual_retention_takes_one_entry(store: Store, client: redis.Redis) -> None:
    await ended(store, client, ["a"], RESULT_TTL_MS)

    assert client.zrange(store.keys["finished"] + b":usual", 0, -1) == [b"a"]
    assert not client.exists(store.keys["finished"], store.keys["finished"] + b":until")
    assert (await store.reads.count())["finished"] == 1


async def test_what_is_past_the_usual_retention_is_gone_before_any_sweep_and_then_swept(
    store: Store, client: redis.Redis
) -> None:
    await ended(store, client, ["a", "b", "c"], RESULT_TTL_MS)
    await ended(store, client, ["own"], 60_000)
    await make_old(store, client, "a", "b")

    assert (await store.reads.count())["finished"] == 2
    assert sorted((await store.reads.ids(JobStatus.FINISHED))[0]) == ["c", "own"]
    assert await store.duty.sweep() is False
    assert client.zrange(store.keys["finished"] + b":usual", 0, -1) == [b"c"]
    assert client.zrange(store.keys["finished"], 0, -1) == [b"own"]


async def test_a_sweep_of_the_usual_comes_back_for_more_than_it_takes_at_once(
    store: Store, client: redis.Redis
) -> None:
    ids = [f"j{number}" for number in range(JOBS_PER_CALL + 50)]
    await ended(store, client, ids, RESULT_TTL_MS)
    await make_old(store, client, *ids)

    assert [await store.duty.sweep(), await store.duty.sweep(), await store.duty.sweep()] == [True, False, False]
    assert not client.exists(store.keys["finished"] + b":usual")


@pytest.mark.parametrize("desc", [False, True])
async def test_a_registry_is_one_list_whatever_the_retentions_in_it(
    desc: bool, store: Store, client: redis.Redis
) -> None:
    names = [f"j{number:04}" for number in range(40)]

    for number, name in enumerate(names):
        await ended(store, client, [name], (RESULT_TTL_MS, 60_000, -1, RESULT_TTL_MS)[number % 4])
        await passed(client, clock(client) + 1)

    expected = names[::-1] if desc else names
    assert (await store.reads.ids(JobStatus.FINISHED, desc=desc))[0] == expected
    assert (await store.reads.count())["finished"] == 40

    pages = [(await store.reads.ids(JobStatus.FINISHED, start, 7, desc=desc))[0] for start in range(0, 40, 7)]
    assert [name for page in pages for name in page] == expected
    client.flushall()


@pytest.mark.parametrize(
    ("first", "second"), [(RESULT_TTL_MS, 60_000), (60_000, RESULT_TTL_MS), (RESULT_TTL_MS, -1)]
)
async def test_an_id_that_is_used_again_stands_in_one_index(
    first: int, second: int, store: Store, client: redis.Redis
) -> None:
    await ended(store, client, ["a"], first)
    client.delete(store.keys.job + b"a")  # as if it had been forgotten, and not swept yet
    await ended(store, client, ["a"], second)

    assert (await store.reads.count())["finished"] == 1
    assert (await store.reads.ids(JobStatus.FINISHED))[0] == ["a"]
