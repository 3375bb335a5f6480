"""The consumers of a worker go with it from all servers, also from those that were the primary before."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import redis

from aioq.store import Connection, Store
from tests.conftest import Server
from tests.store.tools import LEASE, claim, put
from tests.tools import eventually


async def leave(store: Store, worker: str) -> None:
    assert await store.duty.leave(worker)


async def reclaim(store: Store, worker: str) -> None:
    with redis.Redis.from_url(store.connection.url) as client:
        client.zadd(store.keys.leases, {worker: 1})

    await store.duty.reclaim(worker)


@pytest.mark.parametrize("end", [pytest.param(leave, marks=pytest.mark.chaos), reclaim])
async def test_a_consumer_of_which_only_the_old_primary_knows_goes_with_its_worker(
    own_server: Callable[..., Server], end: Callable[[Store, str], object]
) -> None:
    """A server does not tell its replicas of a consumer that has asked for entries and got none."""
    one = own_server("--repl-diskless-sync-delay", "0")
    two = own_server("--repl-diskless-sync-delay", "0", "--replicaof", f"127.0.0.1 {one.port}")
    first, second = redis.Redis(port=one.port), redis.Redis(port=two.port)

    async def hand_over(old: redis.Redis, new: redis.Redis, port: int) -> None:
        await eventually(lambda: new.info("replication")["master_link_status"] == "up")
        old.execute_command("FAILOVER", "TO", "127.0.0.1", port)
        await eventually(lambda: new.info("replication")["role"] == "master")
        await eventually(lambda: old.info("replication").get("master_link_status") == "up")

    def consumers(client: redis.Redis, store: Store) -> set[str]:
        return {each["name"].decode() for each in client.xinfo_consumers(store.keys.front, "workers")}

    connection, other = Connection(one.url), Connection(two.url)
    here, there = Store(connection, "default"), Store(other, "default")

    for worker in ("busy", "idle"):
        await here.duty.join(worker, LEASE)

    await put(here, "a", front=True)
    assert len((await claim(here, "busy")).jobs) == 1
    assert (await claim(here, "idle")).jobs == []
    assert consumers(first, here) == {"busy", "idle"}
    await hand_over(first, second, two.port)
    assert consumers(second, there) == {"busy"}
    await end(there, "idle")
    await hand_over(second, first, one.port)
    assert consumers(first, here) == {"busy"}

    for each in (connection, other):
        await each.aclose()

    first.close()
    second.close()
