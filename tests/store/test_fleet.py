from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import redis

from aioq.store import Connection, Fleet, Store
from aioq.store.fleet import WORKER_TTL_MS
from aioq.values.errors import InvalidInput
from tests.store.tools import LEASE, claim, clock, passed, put, take

FACTS = {
    "hostname": "host",
    "pid": 7,
    "state": "busy",
    "running": 3,
    "concurrency": 100,
    "successful": 12,
    "failed": 1,
    "started_at": 1_700_000_000_000,
    "version": "0.1",
}


@pytest.fixture
async def fleet(connection: Connection) -> AsyncIterator[Fleet]:
    yield Fleet(connection)


async def test_queues_are_listed_by_name_once_they_have_been_used(fleet: Fleet) -> None:
    for name in ("b", "a", "a:c"):
        await put(Store(fleet.connection, name), "x")

    assert await fleet.queues() == ["a", "a:c", "b"]
    await Store(fleet.connection, "b").unregister()
    assert await fleet.queues() == ["a", "a:c"]


async def test_queues_are_found_by_their_keys_and_what_is_none_is_missing(
    fleet: Fleet, client: redis.Redis
) -> None:
    for name in ("mail", "shop:2/x"):
        await put(Store(fleet.connection, name), "a")

    client.delete("aioq:queues")

    for other in ("aioq:{odd", "aioq:{a b}:job:1", "aioq2:{other}:job:1", "aioq:{x}y:z"):
        client.set(other, "x", ex=60)

    assert await fleet.queues() == []
    assert await fleet.stored() == ["mail", "shop:2/x"]
    assert await fleet.missing(["typo", "mail", "typo", "shop:2/x"]) == ["typo"]
    assert await fleet.missing([]) == []

    with pytest.raises(InvalidInput, match="queue name 'a b'"):
        await fleet.missing(["a b"])


async def test_a_server_without_anything_has_no_queues_and_no_workers(fleet: Fleet) -> None:
    assert await fleet.queues() == []
    assert await fleet.workers() == []
    await fleet.sweep_workers()
    assert not await fleet.is_suspended()


async def test_a_worker_tells_of_itself_and_puts_its_queues_on_the_list(fleet: Fleet, client: redis.Redis) -> None:
    await fleet.connection.calls(fleet.worker_commands("w1", FACTS, ["high", "low"]))
    (info,) = await fleet.workers()

    assert (info.name, info.hostname, info.pid, info.queues, info.state) == (
        "w1",
        "host",
        7,
        ["high", "low"],
        "busy",
    )
    assert (info.running, info.concurrency, info.successful, info.failed) == (3, 100, 12, 1)
    assert (info.started_at_ms, info.version) == (1_700_000_000_000, "0.1")
    assert await fleet.queues() == ["high", "low"]
    assert 0 < client.pttl("aioq:worker:w1") <= WORKER_TTL_MS
    client.delete("aioq:worker:w1")


async def test_a_worker_is_shown_although_it_tells_less_than_this_version_knows(
    fleet: Fleet, client: redis.Redis
) -> None:
    await fleet.connection.calls(fleet.worker_commands("w1", {"flavour": "new"}, ["a"]))
    (info,) = await fleet.workers()

    assert (info.hostname, info.pid, info.version) == ("?", 0, "?")


async def test_a_worker_that_was_killed_is_not_shown_and_swept_away(fleet: Fleet, client: redis.Redis) -> None:
    for name in ("w1", "w2"):
        await fleet.connection.calls(fleet.worker_commands(name, FACTS, ["a"]))

    client.delete("aioq:worker:w1")  # as it happens by itself when it has not beaten for long
    assert [info.name for info in await fleet.workers()] == ["w2"]
    assert client.smembers("aioq:workers") == {b"w1", b"w2"}
    await fleet.sweep_workers()
    assert client.smembers("aioq:workers") == {b"w2"}


async def test_a_worker_that_leaves_leaves_nothing(fleet: Fleet, client: redis.Redis) -> None:
    await fleet.connection.calls(fleet.worker_commands("w1", FACTS, ["a"]))
    await fleet.remove_worker("w1")

    assert set(client.scan_iter()) == {b"aioq:queues"}


async def test_a_suspension_holds_for_all_queues_those_that_come_later_too(
    fleet: Fleet, client: redis.Redis
) -> None:
    early, late = Store(fleet.connection, "early"), Store(fleet.connection, "late")
    await put(early, "a")
    await fleet.suspend()
    await put(late, "b")
    assert await fleet.is_suspended()

    for store in (early, late):
        await store.join("w1", LEASE)
        assert (await claim(store)).verdict == "paused"
        assert await store.is_paused()
        assert client.ttl(store.keys.suspended) == -1

    await fleet.resume()
    assert not await fleet.is_suspended()

    for store in (early, late):
        assert client.llen(store.keys.wake) == 1
        assert len(await take(store)) == 1


async def test_a_suspension_for_a_while_ends_by_itself_everywhere(fleet: Fleet, client: redis.Redis) -> None:
    early, late = Store(fleet.connection, "early"), Store(fleet.connection, "late")
    await put(early, "a")
    await fleet.suspend(300)
    await put(late, "b")
    assert client.pexpiretime(late.keys.suspended) <= client.pexpiretime("aioq:suspended") + 5

    for store in (early, late):
        await store.join("w1", LEASE)
        assert (await claim(store)).verdict == "paused"

    await passed(client, client.pexpiretime(late.keys.suspended))
    await passed(client, clock(client) + 5)

    for store in (early, late):
        assert len(await take(store)) == 1

    assert not await fleet.is_suspended()


async def test_a_resume_does_not_end_a_pause(fleet: Fleet) -> None:
    store = Store(fleet.connection, "a")
    await put(store, "a")
    await store.pause()
    await fleet.suspend()
    await fleet.resume()

    assert await store.is_paused()
    await store.resume()
    assert not await store.is_paused()


async def test_two_prefixes_are_two_fleets(server, client: redis.Redis) -> None:
    other = Connection(server.url, prefix="other")
    await put(Store(other, "a"), "x")
    await Fleet(other).suspend()

    try:
        assert client.smembers("other:queues") == {b"a"}
        assert not client.exists("aioq:queues")
    finally:
        await other.aclose()
        client.flushall()


async def test_a_client_that_decodes_and_speaks_resp3_sees_the_same(server, client: redis.Redis) -> None:
    theirs = redis.asyncio.Redis.from_url(server.url, decode_responses=True, protocol=3)
    fleet = Fleet(Connection(theirs))
    await put(Store(fleet.connection, "a"), "x")
    await fleet.connection.calls(fleet.worker_commands("w1", FACTS, ["b"]))
    await fleet.suspend()

    assert await fleet.queues() == ["a", "b"]
    assert [info.pid for info in await fleet.workers()] == [7]
    assert await fleet.is_suspended()
    await fleet.sweep_workers()
    await fleet.resume()
    await fleet.connection.aclose()
    await theirs.aclose()
