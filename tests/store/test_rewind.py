"""After a step back of the server's clock, some jobs have ended in the future. No registry is shorter for that."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest
import redis

from aioq.store import Connection, Store
from aioq.values.outcome import Failed, Finished
from aioq.values.states import JobStatus
from tests.conftest import Server
from tests.store.tools import DAY_MS, USUAL, audit, clock, end, start
from tests.tools import eventually

REGISTRIES = ("finished", "failed", "canceled", "stopped", "expired")
STATES = {status.value: status for status in JobStatus}
End = Callable[[Store, str], Awaitable[object]]


async def _finish(store: Store, job_id: str) -> None:
    await end(store, (await start(store, job_id), Finished(b"p", USUAL["finished"])))


async def _finish_for_long(store: Store, job_id: str) -> None:
    await end(store, (await start(store, job_id), Finished(b"p", 3 * DAY_MS)))


async def _finish_for_ever(store: Store, job_id: str) -> None:
    await end(store, (await start(store, job_id), Finished(b"p", -1)))


async def _fail(store: Store, job_id: str) -> None:
    await end(store, (await start(store, job_id), Failed("boom")))


async def _stop(store: Store, job_id: str) -> None:
    await start(store, job_id)
    await store.changes.stop(job_id)


ENDS = {
    "finished": _finish,
    "finished, own retention": _finish_for_long,
    "finished, for ever": _finish_for_ever,
    "failed": _fail,
    "stopped": _stop,
}


def set_back(client: redis.Redis, store: Store, job_id: str, ms: int) -> None:
    """What stands there of a job that ended before the clock was set back: all its moments are further away."""
    for registry in REGISTRIES:
        for ending in (b"", b":usual", b":until"):
            key = store.keys[registry] + ending

            if client.zscore(key, job_id) is not None:
                client.zincrby(key, ms, job_id)
                left = client.pttl(key)
                client.pexpire(key, left + ms) if left > 0 else None

    key = store.keys.job + job_id.encode()
    left = client.pttl(key)
    client.pexpire(key, left + ms) if left > 0 else None
    client.hincrby(key, "ended_at", ms)


@pytest.mark.parametrize("before", ENDS)
@pytest.mark.parametrize("after", ENDS)
async def test_a_job_of_a_wrong_clock_stays_in_its_registry_for_its_time(
    store: Store, client: redis.Redis, before: str, after: str
) -> None:
    await ENDS[before](store, "old")
    set_back(client, store, "old", 10 * DAY_MS)
    await ENDS[after](store, "new")
    assert not await store.duty.sweep()

    registry = before.partition(",")[0]
    key = store.keys[registry]
    listed, now = await store.reads.ids(STATES[registry])
    assert "old" in listed
    assert (await store.reads.count())[registry] == len(listed)
    moments = [client.zscore(key + ending, "old") for ending in (b"", b":usual")]
    (ended_at,) = (each for each in moments if each is not None)
    assert now - 10_000 < ended_at <= now

    # Record and registry are kept for the retention of the job from now on; the registry at least.
    lives = {"finished, own retention": 3 * DAY_MS, "finished, for ever": None}
    life = lives.get(before, USUAL[registry])
    left = client.pttl(store.keys.job + b"old")
    home = key + (b":usual" if client.zscore(key + b":usual", "old") else b"")
    assert left == -1 if life is None else life - 10_000 < left <= life
    assert client.pttl(home) == -1 if life is None else client.pttl(home) == -1 or client.pttl(home) >= left - 1000
    assert audit(client, store) == []
    await store.changes.delete(["old", "new"])  # one that is kept for ever would stay


async def test_what_ended_before_is_left_as_it_is(store: Store, client: redis.Redis) -> None:
    for number, each in enumerate(ENDS.values()):
        await each(store, f"job{number}")

    def moments() -> list[object]:
        return [client.zrange(key, 0, -1, withscores=True) for key in sorted(client.keys("*:{default}:finished*"))]

    before = moments()
    assert not await store.duty.sweep()
    assert moments() == before
    await store.changes.delete([f"job{number}" for number in range(len(ENDS))])


async def test_very_many_are_set_right_in_steps(store: Store, client: redis.Redis) -> None:
    ahead = clock(client) + DAY_MS

    for number in range(250):
        client.hset(store.keys.job + b"job%d" % number, mapping={"status": "finished", "func": "m.f"})
        client.zadd(store.keys["finished"] + b":usual", {f"job{number}": ahead})

    calls = 1

    while await store.duty.sweep():
        calls += 1

    assert 2 < calls < 6
    assert client.zcount(store.keys["finished"] + b":usual", clock(client) + 1, "+inf") == 0
    assert client.zcard(store.keys["finished"] + b":usual") == 250


async def test_they_are_set_right_while_the_memory_is_full(store: Store, client: redis.Redis) -> None:
    for job_id, each in (("a", _finish), ("b", _finish_for_long), ("c", _finish_for_ever)):
        await each(store, job_id)
        set_back(client, store, job_id, DAY_MS)

    client.config_set("maxmemory", "1")

    try:
        await store.duty.sweep()
    finally:
        client.config_set("maxmemory", "0")

    for ending in (b"", b":usual"):
        assert client.zcount(store.keys["finished"] + ending, clock(client) + 1, "+inf") == 0

    assert audit(client, store) == []
    await store.changes.delete(["a", "b", "c"])


async def test_a_record_whose_retention_has_passed_goes_with_its_entry(own_server: Callable[..., Server]) -> None:
    """The server removes such a key later. One still there when the clock is set back would live again."""
    server = own_server("--enable-debug-command", "yes")
    connection = Connection(server.url)

    with redis.Redis.from_url(server.url) as client:
        client.execute_command("DEBUG", "SET-ACTIVE-EXPIRE", "0")
        store = Store(connection, "default")
        await _finish_for_long(store, "other")  # so that the registry itself stays
        await end(store, (await start(store, "old"), Finished(b"p", 1)))
        await eventually(lambda: client.zscore(store.keys["finished"] + b":until", "old") < clock(client) - 1)
        assert client.info("stats")["expired_keys"] == 0
        await store.duty.sweep()
        assert client.zscore(store.keys["finished"], "old") is None
        assert client.info("stats")["expired_keys"] == 1

    await connection.aclose()
