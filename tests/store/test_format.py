"""The format number: who writes it, and who refuses a queue that a newer version has stored."""

from __future__ import annotations

import pytest
import redis

from aioq import Queue, Worker
from aioq.doctor import examine, examine_queues
from aioq.store import Connection, Store
from aioq.store.format import FORMAT, read_format
from aioq.values.errors import ServerUnsuitable
from tests.store.tools import LEASE, entries, put, take, unchanged

NEWER = FORMAT + 1


def refusal(queue: str = "default") -> str:
    return rf"queue '{queue}' is stored in format {NEWER}, .* formats up to {FORMAT}\. Upgrade aioq here"


async def test_whoever_registers_a_queue_writes_the_number(store: Store, client: redis.Redis) -> None:
    await put(store, "a")

    assert client.get(store.keys.format) == b"%d" % FORMAT
    assert client.ttl(store.keys.format) == -1


async def test_a_queue_without_a_number_is_of_the_first_format(store: Store, client: redis.Redis) -> None:
    await put(store, "a")
    client.delete(store.keys.format)
    (examined,) = await examine_queues(store.connection, ["default"])

    assert examined.format == 1
    assert [each.record.id for each in await take(store)] == ["a"]
    assert [read_format(each) for each in (None, b"1", b"12", b"x")] == [1, 1, 12, 1]


async def test_a_newer_number_is_refused_by_enqueue(connection: Connection, client: redis.Redis) -> None:
    queue = Queue("default", connection)
    client.set(queue.store.keys.format, NEWER)

    for _ in range(2):
        with pytest.raises(ServerUnsuitable, match=refusal()):
            await queue.enqueue("m.f")

    assert client.get(queue.store.keys.format) == b"%d" % NEWER
    assert entries(client, queue.store.keys.main) == []


async def test_a_newer_number_is_refused_when_a_worker_joins_and_nothing_is_written(
    store: Store, client: redis.Redis
) -> None:
    client.set(store.keys.format, NEWER)

    with unchanged(client), pytest.raises(ServerUnsuitable, match=refusal()):
        await store.duty.join("w1", LEASE)


async def test_a_newer_number_is_refused_when_a_worker_starts(server, store: Store, client: redis.Redis) -> None:
    client.set(store.keys.format, NEWER)

    with pytest.raises(ServerUnsuitable, match=refusal()):
        await Worker("default", server.url).run(burst=True)


async def test_the_doctor_does_not_touch_what_it_could_not_read(store: Store, client: redis.Redis) -> None:
    await put(store, "a")
    client.set(store.keys.format, NEWER)
    client.delete(store.keys.main)  # damage, as this version sees it

    with unchanged(client):
        (examined,) = await examine_queues(store.connection, ["default"], repair=True)

        with pytest.raises(ServerUnsuitable, match=refusal()):
            await examine(Queue("default", store.connection))

    assert (examined.format, examined.findings) == (NEWER, [])
    assert isinstance(examined.error, ServerUnsuitable)
    client.flushdb()


async def test_a_number_goes_with_the_queue(connection: Connection, client: redis.Redis) -> None:
    queue = Queue("default", connection)
    await queue.enqueue("m.f")
    await queue.delete()

    assert not client.exists(queue.store.keys.format)
    await queue.enqueue("m.f")
    assert client.get(queue.store.keys.format) == b"%d" % FORMAT


async def test_a_client_that_may_not_read_the_number_begins_a_queue(server, client: redis.Redis) -> None:
    client.execute_command("ACL", "SETUSER", "begins", "on", ">pw", "~*", "&*", "+@all", "-get")

    try:
        async with Queue("default", server.url.replace("://", "://begins:pw@", 1)) as queue:
            await queue.enqueue("m.f")
            assert await queue.count() == 1
    finally:
        client.execute_command("ACL", "DELUSER", "begins")
