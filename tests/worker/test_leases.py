"""A worker's leases: renewed together, whatever the server refuses, and in an event loop of any thread."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
from collections.abc import AsyncIterator, Iterator

import pytest
import redis

from aioq.store import Connection, Store
from aioq.values.errors import ServerUnreachable, ServerUnsuitable
from aioq.worker.heartbeat import LEASE_MS, Heartbeat
from aioq.worker.leases import Leases
from tests.conftest import Server
from tests.store.tools import LEASE, clock
from tests.tools import eventually


@pytest.fixture
def client(server: Server) -> Iterator[redis.Redis]:
    with redis.Redis.from_url(server.url) as client:
        yield client


@pytest.fixture
async def stores(connection: Connection) -> AsyncIterator[tuple[Store, Store]]:
    """Two queues, of both of which the worker w1 has a lease of a second."""
    found = Store(connection, "default"), Store(connection, "other")

    for store in found:
        await store.duty.join("w1", 1_000)

    yield found

    for store in found:
        await store.duty.leave("w1")


@pytest.fixture
async def leases(connection: Connection, stores: tuple[Store, Store]) -> AsyncIterator[Leases]:
    found = Leases(connection, stores, "w1", LEASE)
    yield found
    await found.aclose()


def remaining(client: redis.Redis, store: Store) -> float:
    """Milliseconds until the lease of w1 ends."""
    end_ms = client.zscore(store.keys.leases, "w1")
    assert end_ms is not None

    return float(end_ms) - clock(client)


async def test_all_leases_are_renewed_and_other_commands_sent_along(
    leases: Leases, stores: tuple[Store, Store], client: redis.Redis
) -> None:
    beats = await leases.renew([("SET", "aioq:worker:w1", "1", "PX", "60000")])

    assert [beat.lapsed for beat in beats] == [False, False]
    assert min(remaining(client, store) for store in stores) > LEASE / 2
    assert client.get("aioq:worker:w1") == b"1"
    client.delete("aioq:worker:w1")


async def test_one_round_trip_on_one_connection(leases: Leases, client: redis.Redis) -> None:
    await leases.renew()
    before = client.info("clients")["connected_clients"]

    for _ in range(3):
        await leases.renew()

    assert client.info("clients")["connected_clients"] == before
    assert leases._connection.opened == 1


async def test_scripts_that_the_server_has_forgotten_are_loaded_again(leases: Leases, client: redis.Redis) -> None:
    client.script_flush()
    assert [beat[:3] for beat in await leases.renew()] == [(False, -1, [])] * 2


async def test_a_refusal_for_one_queue_ends_no_lease_on_another(
    leases: Leases, stores: tuple[Store, Store], client: redis.Redis
) -> None:
    renewed, refused = stores
    client.set(refused.keys.leases, "no leases")

    try:
        first, second = await leases.renew()
    finally:
        client.delete(refused.keys.leases)

    assert first.clock_ms > 0
    assert second.clock_ms == 0
    assert remaining(client, renewed) > LEASE / 2


async def test_a_refusal_for_all_queues_is_raised(
    leases: Leases, stores: tuple[Store, Store], client: redis.Redis
) -> None:
    for store in stores:
        client.set(store.keys.leases, "no leases")

    try:
        with pytest.raises(ServerUnsuitable):
            await leases.renew()
    finally:
        client.delete(*(store.keys.leases for store in stores))


async def test_a_refusal_of_other_commands_ends_no_lease(
    leases: Leases, stores: tuple[Store, Store], client: redis.Redis
) -> None:
    assert len(await leases.renew([("INCR", stores[0].keys.leases)])) == 2
    assert min(remaining(client, store) for store in stores) > LEASE / 2


async def test_leases_that_were_closed_are_renewed_on_a_new_connection(leases: Leases) -> None:
    for _ in range(3):
        assert not (await leases.renew())[0].lapsed
        await leases.aclose()


async def test_without_a_server_the_error_says_so_and_they_are_renewed_when_it_is_back(own_server) -> None:
    server = own_server()
    connection = Connection(server.url)
    store = Store(connection, "default")
    await store.duty.join("w1", LEASE)
    leases = Leases(connection, [store], "w1", LEASE)
    server.stop(kill=True)

    with pytest.raises(ServerUnreachable):
        await leases.renew()

    server.start()
    assert [beat[:3] for beat in await leases.renew()] == [(True, -1, [])]
    await leases.aclose()
    await connection.aclose()


# On the thread of a heartbeat


async def test_the_thread_renews_them_while_the_event_loop_is_blocked(
    leases: Leases, stores: tuple[Store, Store], client: redis.Redis
) -> None:
    heartbeat = Heartbeat(leases, list, lambda _: None)
    heartbeat.start()

    try:
        client.zadd(stores[0].keys.leases, {"w1": 1})
        await eventually(lambda: remaining(client, stores[0]) > LEASE / 2)
        client.zadd(stores[0].keys.leases, {"w1": clock(client) + 1_000})

        while remaining(client, stores[0]) < LEASE / 2:  # it blocks this loop; the test has a time limit
            pass
    finally:
        heartbeat.stop()

    assert not heartbeat.thread.is_alive


async def test_a_beat_to_a_silent_server_is_cut_off_by_the_stop(own_server) -> None:
    server: Server = own_server()
    connection = Connection(server.url)
    store = Store(connection, "default")
    await store.duty.join("w1", LEASE_MS)
    heartbeat = Heartbeat(Leases(connection, [store], "w1", LEASE_MS), list, lambda _: None)
    heartbeat.start()
    await eventually(lambda: heartbeat._beats)
    assert server.process is not None
    pid = server.process.pid

    try:
        os.kill(pid, signal.SIGSTOP)
        before = heartbeat._beats
        await eventually(lambda: heartbeat._beats > before)
        begun = asyncio.get_running_loop().time()
        await asyncio.to_thread(heartbeat.stop)
        assert asyncio.get_running_loop().time() - begun < LEASE_MS / 4000  # uncut, it takes half a lease
        assert not heartbeat.thread.is_alive
    finally:
        os.kill(pid, signal.SIGCONT)

    await connection.aclose()


async def test_a_heartbeat_starts_no_other_thread(server: Server, client: redis.Redis) -> None:
    """Also where the server is named by a host name, which must be looked up."""
    connection = Connection(server.tcp_url.replace("127.0.0.1", "localhost"))
    store = Store(connection, "default")
    await store.duty.join("w1", LEASE_MS)
    heartbeat = Heartbeat(Leases(connection, [store], "w1", LEASE_MS), list, lambda _: None)
    before = {thread.ident for thread in threading.enumerate()}
    heartbeat.start()

    try:
        await eventually(lambda: remaining(client, store) > LEASE_MS - 500 and heartbeat._beats)
        await eventually(lambda: heartbeat.health.has_lease)
        new = [thread.name for thread in threading.enumerate() if thread.ident not in before]
    finally:
        await asyncio.to_thread(heartbeat.stop)

    assert new == ["aioq-heartbeat"]
    await store.duty.leave("w1")
    await connection.aclose()
