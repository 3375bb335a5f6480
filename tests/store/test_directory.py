from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import redis

from aioq.store import Connection, Directory, Store
from aioq.store.directory import WORKER_TTL_MS
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
async def directory(connection: Connection) -> AsyncIterator[Directory]:
    yield Directory(connection)


async def test_queues_are_listed_by_name_once_they_have_been_used(directory: Directory) -> None:
    for name in ("b", "a", "a:c"):
        await put(Store(directory.connection, name), "x")

    assert await directory.queues() == ["a", "a:c", "b"]
    await Store(directory.connection, "b").producing.unregister()
    assert await directory.queues() == ["a", "a:c"]


async def test_queues_are_found_by_their_keys_and_what_is_none_is_missing(
    directory: Directory, client: redis.Redis
) -> None:
    for name in ("mail", "shop:2/x"):
        await put(Store(directory.connection, name), "a")

    client.delete("aioq:queues")

    for other in ("aioq:{odd", "aioq:{a b}:job:1", "aioq2:{other}:job:1", "aioq:{x}y:z"):
        client.set(other, "x", ex=60)

    assert await directory.queues() == []
    assert await directory.stored() == ["mail", "shop:2/x"]
    assert await directory.missing(["typo", "mail", "typo", "shop:2/x"]) == ["typo"]
    assert await directory.missing([]) == []

    with pytest.raises(InvalidInput, match="queue name 'a b'"):
        await directory.missing(["a b"])


async def test_a_server_without_anything_has_no_queues_and_no_workers(directory: Directory) -> None:
    assert await directory.queues() == []
    assert await directory.workers() == []
    await directory.sweep_workers()
    assert not await directory.is_suspended()


async def test_a_worker_tells_of_itself_and_puts_its_queues_on_the_list(
    directory: Directory, client: redis.Redis
) -> None:
    await directory.connection.calls(directory.worker_commands("w1", FACTS, ["high", "low"]))
    (info,) = await directory.workers()

    assert (info.name, info.hostname, info.pid, info.queues, info.state) == (
        "w1",
        "host",
        7,
        ["high", "low"],
        "busy",
    )
    assert (info.running, info.concurrency, info.successful, info.failed) == (3, 100, 12, 1)
    assert (info.started_at_ms, info.version) == (1_700_000_000_000, "0.1")
    assert await directory.queues() == ["high", "low"]
    assert 0 < client.pttl("aioq:worker:w1") <= WORKER_TTL_MS
    client.delete("aioq:worker:w1")


async def test_a_worker_is_shown_although_it_tells_less_than_this_version_knows(
    directory: Directory, client: redis.Redis
) -> None:
    await directory.connection.calls(directory.worker_commands("w1", {"flavour": "new"}, ["a"]))
    (info,) = await directory.workers()

    assert (info.hostname, info.pid, info.version) == ("?", 0, "?")


async def test_a_worker_that_was_killed_is_not_shown_and_swept_away(
    directory: Directory, client: redis.Redis
) -> None:
    for name in ("w1", "w2"):
        await directory.connection.calls(directory.worker_commands(name, FACTS, ["a"]))

    client.delete("aioq:worker:w1")  # as it happens by itself when it has not beaten for long
    assert [info.name for info in await directory.workers()] == ["w2"]
    assert client.smembers("aioq:workers") == {b"w1", b"w2"}
    await directory.sweep_workers()
    assert client.smembers("aioq:workers") == {b"w2"}


async def test_a_worker_that_leaves_leaves_nothing(directory: Directory, client: redis.Redis) -> None:
    await directory.connection.calls(directory.worker_commands("w1", FACTS, ["a"]))
    await directory.remove_worker("w1")

    assert set(client.scan_iter()) == {b"aioq:queues"}


async def test_a_suspension_holds_for_all_queues_those_that_come_later_too(
    directory: Directory, client: redis.Redis
) -> None:
    early, late = Store(directory.connection, "early"), Store(directory.connection, "late")
    await put(early, "a")
    await directory.suspend()
    await put(late, "b")
    assert await directory.is_suspended()

    for store in (early, late):
        await store.duty.join("w1", LEASE)
        assert (await claim(store)).verdict == "paused"
        assert await store.reads.is_paused()
        assert client.ttl(store.keys.suspended) == -1

    await directory.resume()
    assert not await directory.is_suspended()

    for store in (early, late):
        assert client.llen(store.keys.wake) == 1
        assert len(await take(store)) == 1


async def test_a_suspension_for_a_while_ends_by_itself_everywhere(
    directory: Directory, client: redis.Redis
) -> None:
    early, late = Store(directory.connection, "early"), Store(directory.connection, "late")
    await put(early, "a")
    await directory.suspend(300)
    await put(late, "b")
    assert client.pexpiretime(late.keys.suspended) <= client.pexpiretime("aioq:suspended") + 5

    for store in (early, late):
        await store.duty.join("w1", LEASE)
        assert (await claim(store)).verdict == "paused"

    await passed(client, client.pexpiretime(late.keys.suspended))
    await passed(client, clock(client) + 5)

    for store in (early, late):
        assert len(await take(store)) == 1

    assert not await directory.is_suspended()


async def test_a_resume_does_not_end_a_pause(directory: Directory) -> None:
    store = Store(directory.connection, "a")
    await put(store, "a")
    await store.changes.pause()
    await directory.suspend()
    await directory.resume()

    assert await store.reads.is_paused()
    await store.changes.resume()
    assert not await store.reads.is_paused()


async def test_two_prefixes_are_two_fleets(server, client: redis.Redis) -> None:
    other = Connection(server.url, prefix="other")
    await put(Store(other, "a"), "x")
    await Directory(other).suspend()

    try:
        assert client.smembers("other:queues") == {b"a"}
        assert not client.exists("aioq:queues")
    finally:
        await other.aclose()
        client.flushall()


async def test_a_client_that_decodes_and_speaks_resp3_sees_the_same(server, client: redis.Redis) -> None:
    theirs = redis.asyncio.Redis.from_url(server.url, decode_responses=True, protocol=3)
    directory = Directory(Connection(theirs))
    await put(Store(directory.connection, "a"), "x")
    await directory.connection.calls(directory.worker_commands("w1", FACTS, ["b"]))
    await directory.suspend()

    assert await directory.queues() == ["a", "b"]
    assert [info.pid for info in await directory.workers()] == [7]
    assert await directory.is_suspended()
    await directory.sweep_workers()
    await directory.resume()
    await directory.connection.aclose()
    await theirs.aclose()
