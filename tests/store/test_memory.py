"""A server at its memory limit: what ends jobs and keeps leases works on; what brings new jobs is refused."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable

import pytest
import redis

from aioq.store import Connection, Directory, Store
from aioq.values.errors import ServerFull
from aioq.values.outcome import Failed, Finished, Interrupted, Retried
from aioq.values.states import JobStatus
from aioq.worker.leases import Leases
from tests.conftest import Server
from tests.store.tools import (
    LEASE,
    beat,
    bring,
    claim,
    clock,
    end,
    job,
    passed,
    put,
    start,
    status,
    take,
    unchanged,
)


@pytest.fixture
def client(own_server: Callable[..., Server]) -> redis.Redis:
    return redis.Redis.from_url(own_server("--maxmemory-policy", "noeviction").url)


@pytest.fixture
async def store(client: redis.Redis) -> AsyncIterator[Store]:
    connection = Connection(f"unix://{client.connection_pool.connection_kwargs['path']}")
    yield Store(connection, "default")
    await connection.aclose()


@pytest.fixture
def fill(client: redis.Redis) -> Callable[[], None]:
    """From here on the server refuses every command that could need memory."""

    def full() -> None:
        client.config_set("maxmemory", "1")

        with pytest.raises(redis.exceptions.OutOfMemoryError):
            client.set("x", "1")

    return full


async def test_new_jobs_are_refused_and_nothing_is_written(
    store: Store, client: redis.Redis, fill: Callable[[], None]
) -> None:
    await put(store, "old")
    fill()

    with unchanged(client):
        for options in ({}, {"front": True}, {"due": "+1000"}, {"ttl_ms": 1_000}):
            with pytest.raises(ServerFull):
                await store.producing.enqueue(job("new", **options))

        with pytest.raises(ServerFull):
            await store.producing.enqueue_many([job("new1"), job("new2")])


@pytest.mark.parametrize(
    "state",
    [
        "finished",
        "late",
        *(pytest.param(each, marks=pytest.mark.chaos) for each in ("failed", "canceled", "expired")),
    ],
)
async def test_the_id_of_an_ended_job_is_not_used_again_either(
    state: str, store: Store, client: redis.Redis, fill: Callable[[], None]
) -> None:
    await bring(store, client, state)
    fill()

    with unchanged(client), pytest.raises(ServerFull):
        await store.producing.enqueue(job(nonce="other"))


async def test_a_queue_can_be_drained(store: Store, client: redis.Redis, fill: Callable[[], None]) -> None:
    await put(store, "due", due="0", ttl_ms=60_000)
    await put(store, "late", ttl_ms=1)
    await put(store, *"abcd")
    await passed(client, clock(client) + 1)
    fill()
    await store.duty.join("w1", LEASE)
    claims = {each.record.id: each for each in (await claim(store)).jobs}
    assert sorted(claims) == ["a", "b", "c", "d", "due"]

    assert await end(store, (claims["a"], Finished(b"x" * 1_000, 60_000))) == ["ok"]
    assert await end(store, (claims["b"], Failed("boom"))) == ["ok"]
    assert await end(store, (claims["c"], Retried("boom", 0))) == ["ok"]
    assert await end(store, (claims["d"], Interrupted(begun=True))) == ["ok"]
    assert await end(store, (claims["due"], Retried("boom", 60_000))) == ["ok"]
    states = {each: await status(store, each) for each in ("a", "b", "c", "d", "due", "late")}

    assert states == {
        "a": "finished",
        "b": "failed",
        "c": "queued",
        "d": "queued",
        "due": "scheduled",
        "late": "expired",
    }


@pytest.mark.parametrize("options", [{"due": "0"}, {"ttl_ms": 1}], ids=["promote", "expire"])
async def test_time_goes_on(
    options: dict[str, object], store: Store, client: redis.Redis, fill: Callable[[], None]
) -> None:
    await put(store, "a", **options)
    await store.duty.join("w1", LEASE)
    await passed(client, clock(client) + 1)
    fill()

    assert (await claim(store)).verdict == "ok"
    assert await status(store) == ("started" if "due" in options else "expired")


async def test_leases_are_kept(store: Store, client: redis.Redis, fill: Callable[[], None]) -> None:
    await store.duty.join("w1", LEASE)
    await store.duty.join("w2", LEASE)
    fill()
    assert not (await beat(store)).lapsed

    client.zrem(store.keys.leases, "w1")
    assert (await beat(store)).lapsed

    leases = Leases(store.connection, [store], "w1", LEASE)
    assert not (await leases.renew())[0].lapsed
    await leases.aclose()


async def test_a_beat_says_who_was_lost_also_if_a_worker_cannot_be_described(
    store: Store, client: redis.Redis, fill: Callable[[], None]
) -> None:
    await store.duty.join("w1", LEASE)
    await store.duty.join("w2", LEASE)
    client.zadd(store.keys.leases, {"w2": 1})
    fill()
    leases = Leases(store.connection, [store], "w1", LEASE)
    (beat,) = await leases.renew(Directory(store.connection).worker_commands("w1", {"pid": 1}, ["default"]))
    await leases.aclose()

    assert beat.lost == ["w2"]


async def test_after_the_server_was_away_its_workers_have_time_to_come_back(
    store: Store, client: redis.Redis, fill: Callable[[], None]
) -> None:
    now = clock(client)
    await store.duty.join("w1", LEASE)
    await store.duty.join("w2", LEASE)
    client.zadd(store.keys.leases, {"w1": now - 10_000, "w2": now - 11_000})
    fill()

    assert (await beat(store, "w1", 30_000)).lost == []


async def test_lost_workers_jobs_come_back(store: Store, client: redis.Redis, fill: Callable[[], None]) -> None:
    await start(store)
    client.zadd(store.keys.leases, {"w1": 1})
    fill()

    assert await store.duty.reclaim("w1") == (False, ["a"], [])


async def test_users_can_wait_look_and_make_room(
    store: Store, client: redis.Redis, fill: Callable[[], None]
) -> None:
    await bring(store, client, "failed", "failed")
    await bring(store, client, "stopped", "stopped")
    running = await start(store, "running")
    await put(store, "a", "b", "c")
    fill()

    assert await store.producing.wait("one", ["a"]) == [-1]
    assert (await store.reads.count()).queued == 3
    assert (await store.reads.ids(JobStatus.QUEUED))[0] == ["a", "b", "c"]
    assert await store.changes.cancel("a") == ("ok", "")
    assert await store.changes.cancel("failed") == ("ok", "")
    assert await store.changes.stop(running.record.id) == ("ok", "")
    assert await store.changes.requeue(["stopped"], at_front=True, reset=True) == ["ok"]
    assert await store.changes.delete(["b", "c"]) == 2
    await store.changes.wake()
    await store.changes.resume()
    assert [each.record.id for each in await take(store)] == ["stopped"]


async def test_a_token_can_be_left(store: Store, client: redis.Redis, fill: Callable[[], None]) -> None:
    fill()
    await store.changes.wake()

    assert client.llen(store.keys.wake) == 1


async def test_a_sweep_makes_room(store: Store, client: redis.Redis, fill: Callable[[], None]) -> None:
    await end(store, (await start(store), Finished(b"p", 1)))
    await passed(client, clock(client) + 1)
    fill()

    assert await store.duty.sweep() is False


async def test_a_sweep_that_finds_nothing_is_not_refused(
    store: Store, client: redis.Redis, fill: Callable[[], None]
) -> None:
    await put(store, "a", "b", tags="x,y")
    await end(store, (next(iter(await take(store, limit=1))), Failed("boom")))
    await store.duty.sweep()  # it is loaded: that a server does not know a script is an error, too
    fill()
    written = client.info("stats")["total_error_replies"]
    assert not await store.duty.sweep()
    assert client.info("stats")["total_error_replies"] == written


async def test_a_worker_can_leave(store: Store, fill: Callable[[], None]) -> None:
    await store.duty.join("w1", LEASE)
    await store.duty.join("w2", LEASE)
    fill()

    assert await store.duty.leave("w1")
    await Directory(store.connection).remove_worker("w1")
    assert await store.duty.leave("w2")


async def test_jobs_of_dead_workers_go_through_quarantine(
    store: Store, client: redis.Redis, fill: Callable[[], None]
) -> None:
    await put(store, "a")
    fill()

    for number in range(4):
        await store.duty.join(f"w{number}", LEASE)
        busy = await claim(store, f"w{number}", 10, held=5)  # at the last one, it leaves the job to an idle worker
        idle = [] if busy.jobs else (await claim(store, f"w{number}", 10)).jobs
        assert [each.record.id for each in (*busy.jobs, *idle)] == ["a"]
        client.config_set("maxmemory", "0")
        client.zadd(store.keys.leases, {f"w{number}": clock(client) - 1})
        fill()
        await store.duty.reclaim(f"w{number}")

    assert await status(store) == "failed"
