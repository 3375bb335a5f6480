"""Damaged records, entries and members: the job that they belong to suffers, and no other one."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from functools import partial

import pytest
import redis

from aioq.store import Connection, Store
from aioq.values.outcome import Failed, Finished, Interrupted, Retried
from aioq.values.states import JobStatus
from tests.conftest import Server
from tests.store.tools import LATE, LEASE, beat, bring, end, job, put, status, take

PREFIX = b"aioq:{default}:"
FIELDS = [
    *("status", "func", "data", "entry", "fence", "uncounted", "deliveries", "worker", "ttl", "failure_ttl"),
    *("expires_at", "due_at", "started_at", "after", "enqueued_at", "nonce"),
    *("first_started_at", "start_by"),
]
JUNK = [b"", b"\x00\xff", b"-1", b"nan", b"9" * 19, b"9" * 400, b"1e300", b"front/", b"9" * 21 + b"-1", b"a b"]
STATES = ["queued", "scheduled", "started", "failed", "canceled", LATE]
TYPES = {
    "string": lambda client, key: client.set(key, "x"),
    "list": lambda client, key: client.rpush(key, "x"),
    "stream": lambda client, key: client.xadd(key, {"x": "y"}),
}


@pytest.fixture
def client(server: Server) -> Iterator[redis.Redis]:
    with redis.Redis.from_url(server.url) as client:
        yield client
        client.flushall()


@pytest.fixture
async def store(connection: Connection) -> AsyncIterator[Store]:
    """A queue that is not looked at in the end: it is damaged."""
    yield Store(connection, "default")


async def use_all(store: Store) -> None:
    """Every verb and every read, over a damaged job `a` and a healthy one `b`; the healthy one is served."""
    await put(store, "b")
    claims = await take(store, "w1")
    assert "b" in [claim.record.id for claim in claims]
    await store.reads.load(["a", "b"])
    await store.producing.wait("channel", ["a", "b"])
    await store.reads.count()

    for state in JobStatus:
        for desc in (False, True):
            await store.reads.ids(state, desc=desc)

    ends = [Retried("e", 0, within_ms=60_000), Failed("e"), Interrupted(begun=True), Retried("e", 5, within_ms=1)]

    for number, claim in enumerate(claims):
        outcome = Finished(b"pr", 60_000) if claim.record.id == "b" else ends[number % len(ends)]
        verdicts = await end(store, (claim, outcome))
        assert claim.record.id != "b" or verdicts == ["ok"]

    assert await status(store, "b") == "finished"
    await store.duty.sweep()

    for verb in (
        *(partial(store.changes.requeue, at_front=at_front, reset=at_front) for at_front in (True, False)),
        store.changes.delete,
    ):
        await verb(["a", "c"])

    for verb in (store.changes.cancel, store.changes.stop):
        await verb("a")


@pytest.mark.parametrize("field", FIELDS)
async def test_a_damaged_field(store: Store, client: redis.Redis, field: str) -> None:
    for number, value in enumerate(JUNK):
        for state in STATES:
            if (number + len(state)) % 2:  # each value meets half of the states, each state half of the values
                client.flushall()
                await bring(store, client, state)
                client.hset(PREFIX + b"job:a", field, value)
                await use_all(store)


@pytest.mark.parametrize("field", ["status", "func", "entry", "fence", "worker", "started_at"])
@pytest.mark.parametrize("state", STATES)
async def test_a_missing_field(store: Store, client: redis.Redis, field: str, state: str) -> None:
    await bring(store, client, state)
    client.hdel(PREFIX + b"job:a", field)
    await use_all(store)


@pytest.mark.parametrize("kind", TYPES)
@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("place", [b"job:a", b"attempts:a", b"wake"])
async def test_a_key_of_a_job_that_is_something_else(store, client, kind: str, state: str, place: bytes) -> None:
    await bring(store, client, state)
    client.delete(PREFIX + place)
    TYPES[kind](client, PREFIX + place)
    await use_all(store)


@pytest.mark.parametrize("kind", ["string", "stream"])
async def test_a_history_that_is_something_else_makes_room(store, client, kind: str) -> None:
    await put(store, "a")
    (claim,) = await take(store)
    TYPES[kind](client, PREFIX + b"attempts:a")
    assert await end(store, (claim, Retried("e", 0))) == ["ok"]
    assert len(await store.reads.attempts("a")) == 1


async def test_a_token_that_is_something_else_makes_room(store, client) -> None:
    client.set(PREFIX + b"wake", "x")
    await put(store, "a")
    await put(store, "b")
    assert client.type(PREFIX + b"wake") == b"list"


async def test_entries_that_name_no_job_are_dropped(store: Store, client: redis.Redis) -> None:
    for value in JUNK:
        client.hset(PREFIX + b"job:" + value, mapping={"status": "queued", "func": "m.f"})
        client.xadd(PREFIX + b"lane:main", {b"id": value})
        entry = client.xadd(PREFIX + b"lane:front", {value: b"x", b"other": value})
        client.hset(PREFIX + b"job:" + value, "entry", b"front/" + entry)

    await put(store, "b")
    assert [claim.record.id for claim in await take(store, limit=100)] == ["b"]
    assert (client.xlen(PREFIX + b"lane:main"), client.xlen(PREFIX + b"lane:front")) == (1, 0)


async def test_members_that_are_no_ids_are_passed_over(store: Store, client: redis.Redis) -> None:
    for name in (
        "scheduled",
        "expiring",
        "finished",
        "finished:usual",
        "finished:until",
        "failed",
        "expired:until",
    ):
        for value in JUNK:
            client.zadd(
                PREFIX + name.encode(), {value: 5, value + b"1": float("inf"), value + b"2": float("-inf")}
            )

    await use_all(store)


async def test_workers_with_any_name_are_reclaimed_and_go(store: Store, client: redis.Redis) -> None:
    await store.duty.join("w1", LEASE)

    for value in JUNK:
        client.zadd(PREFIX + b"leases", {value: 5})

    lost = (await beat(store)).lost
    assert len(lost) == len(JUNK)

    for name in lost:
        await store.duty.reclaim(name)

    assert client.zrange(PREFIX + b"leases", 0, -1) == [b"w1"]


async def test_a_channel_that_nobody_may_publish_to_is_passed_over(own_server) -> None:
    server = own_server()

    with server.client() as admin:
        admin.acl_setuser("w", enabled=True, nopass=True, keys=["*"], channels=["aioq:*"], commands=["+@all"])

    connection = Connection(f"redis://w:x@127.0.0.1:{server.port}/0")
    store = Store(connection, "default")
    await put(store, "a")
    (claim,) = await take(store)

    with server.client() as admin:
        admin.hset("aioq:{default}:job:a", "after", "@elsewhere @aioq:waiter:x")

    assert await end(store, (claim, Finished(b"pr", 60_000))) == ["ok"]
    await connection.aclose()


async def test_a_job_with_a_damaged_number_runs_as_one_without_it(store: Store, client: redis.Redis) -> None:
    await store.producing.enqueue(job("a", ttl_ms=60_000))
    client.hset(PREFIX + b"job:a", mapping={"fence": "x", "deliveries": "x", "uncounted": "x", "expires_at": "x"})
    (claim,) = await take(store)
    assert claim.fence == 1
    client.zadd(PREFIX + b"leases", {"w1": 1})
    assert await store.duty.reclaim("w1") == (False, ["a"], [])
    (record,) = await store.reads.load(["a"])
    assert (record.deliveries, record.attempt) == (1, 0)


@pytest.mark.parametrize("until", ["inf", "-inf", "1e300", "0.5", "1e18"])
async def test_a_job_leaves_a_registry_in_which_another_one_is_damaged(
    store: Store, client: redis.Redis, until: str
) -> None:
    for job_id, failure_ttl in (("a", b"-1"), ("b", b"60000")):
        await put(store, job_id, failure_ttl=failure_ttl)
        (claim,) = await take(store)
        await end(store, (claim, Failed("e")))

    client.zadd(PREFIX + b"failed:until", {"b": until})
    assert await store.changes.requeue(["a"], at_front=False, reset=True) == ["ok"]
    assert await store.changes.requeue(["b"], at_front=False, reset=True) == ["ok"]


@pytest.mark.parametrize("last", ["1999999999999-9999999999", "18446744073709551614-5"])
@pytest.mark.parametrize("front", [True, False])
async def test_entries_of_many_digits_leave_their_lane(
    store: Store, client: redis.Redis, last: str, front: bool
) -> None:
    """After the clock has jumped back, all entries are counted within the last millisecond before."""
    lane = store.keys.front if front else store.keys.main
    client.xadd(lane, {"id": "none"}, id=last)
    await store.producing.enqueue(job("a", front=front))
    (claim,) = await take(store)
    assert await end(store, (claim, Finished(b"pr", 60_000))) == ["ok"]
    assert client.xlen(lane) == 0
