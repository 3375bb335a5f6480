from __future__ import annotations

import pytest
import redis

from aioq.store import Store
from aioq.values.outcome import Finished, Retried
from aioq.values.states import JobStatus
from tests.store.tools import LATE, bring, clock, end, listening, passed, put, start, status, take, unchanged

STATES = [*map(str, JobStatus), LATE]


@pytest.mark.parametrize("state", STATES)
async def test_nothing_is_left_of_a_deleted_job(state: str, store: Store, client: redis.Redis) -> None:
    await bring(store, client, state)
    assert await store.changes.delete(["a"]) == 1

    assert await status(store) is None
    assert sum((await store.reads.count()).jobs.values()) == 0
    assert client.xlen(store.keys.main) == client.xlen(store.keys.front) == 0
    assert not client.exists(store.keys.expiring, store.keys.scheduled)
    assert await take(store) == []

    for name in JobStatus:
        if name.is_final:
            assert not client.exists(store.keys[name], store.keys[name] + b":until")


@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("only", JobStatus)
async def test_only_jobs_of_the_state_that_was_meant_are_deleted(
    only: JobStatus, state: str, store: Store, client: redis.Redis
) -> None:
    await bring(store, client, state)
    seen = "expired" if state == LATE else state

    if only == seen:
        assert await store.changes.delete(["a"], only) == 1
        assert await status(store) is None
    else:
        with unchanged(client):
            assert await store.changes.delete(["a"], only) == 0


async def test_a_job_that_is_gone_is_not_counted(store: Store, client: redis.Redis) -> None:
    await put(store, "a")
    assert await store.changes.delete(["a", "b", "a"]) == 1

    with unchanged(client):
        assert await store.changes.delete(["a"]) == 0


async def test_a_history_goes_with_its_job(store: Store, client: redis.Redis) -> None:
    await end(store, (await start(store), Retried("boom", 60_000)))
    await store.changes.delete(["a"])

    assert not client.exists(store.keys.attempts + b"a")


async def test_the_worker_that_runs_the_job_is_told_and_so_are_those_who_wait(
    store: Store, client: redis.Redis
) -> None:
    claimed = await start(store)
    await store.producing.wait("one", ["a"])

    with listening(client, "one", "aioq:control:w1") as messages:
        await store.changes.delete(["a"])

        assert sorted(messages()) == [b"a deleted 0\n", b"deleted aioq:{default}:job:a 1"]

    assert await end(store, (claimed, Finished(b"p", 60_000))) == ["gone"]


async def test_many_jobs_of_every_state_go_in_one_call(store: Store, client: redis.Redis) -> None:
    await put(store, *(f"q{number}" for number in range(200)))
    await put(store, *(f"s{number}" for number in range(100)), due="+60000")
    await put(store, *(f"l{number}" for number in range(100)), ttl_ms=1, front=True)
    await put(store, *(f"r{number}" for number in range(100)))
    await passed(client, clock(client) + 1)
    ids = [f"{kind}{number}" for kind in "qslr" for number in range(200)]

    assert await store.changes.delete(ids) == 500
    counts = await store.reads.count()
    assert (sum(counts.jobs.values()), counts.workers) == (0, 0)


async def test_more_jobs_than_lua_unpacks_at_once_go_in_one_call(store: Store, client: redis.Redis) -> None:
    for number in range(0, 9_000, 500):
        await put(store, *(f"j{each}" for each in range(number, number + 500)))

    assert await store.changes.delete([f"j{number}" for number in range(9_000)]) == 9_000
    assert client.xlen(store.keys.main) == 0


async def test_nothing_to_delete_is_no_call(store: Store) -> None:
    assert await store.changes.delete([]) == 0
