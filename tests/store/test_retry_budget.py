from __future__ import annotations

from datetime import UTC, datetime
from itertools import pairwise

import pytest
import redis

from aioq.store import Connection, Store
from aioq.store.keys import TEST_PREFIX
from aioq.store.time_travel import advance
from aioq.values.claim import Claim
from aioq.values.outcome import Retried
from aioq.values.retry_budget import RetryBudget, check_budget
from tests.conftest import Server
from tests.store.tools import clock, end, fields, put, start, take

MANY = 30


async def started(store: Store, count: int = MANY) -> list[Claim]:
    await put(store, *(f"j{number:02}" for number in range(count)))

    return await take(store, limit=count)


async def retry(store: Store, claims: list[Claim], delay_ms: int = 0, **more: int) -> None:
    assert set(await end(store, *((each, Retried("boom", delay_ms, **more)) for each in claims))) == {"ok"}


def moments(client: redis.Redis, store: Store, claims: list[Claim]) -> list[int | None]:
    """When each of these jobs is due; None for one that waits in a lane already."""
    due = [fields(client, store, each.record.id).get(b"due_at") for each in claims]

    return [None if each is None else int(each) for each in due]


async def test_what_is_too_much_is_held_back_at_a_steady_rate(store: Store, client: redis.Redis) -> None:
    await store.changes.set_retry_budget(check_budget(10, 1, 5))
    claims = await started(store)
    before = clock(client)
    await retry(store, claims)
    found = moments(client, store, claims)

    assert found[:5] == [None] * 5  # as many at once as the at_once
    held = [each for each in found[5:] if each is not None]
    assert len(held) == MANY - 5
    assert before + 100 <= held[0] <= clock(client) + 100
    assert [later - earlier for earlier, later in pairwise(held)] == [100] * (MANY - 6)


async def test_one_rate_holds_for_all_calls_of_all_workers(store: Store, client: redis.Redis) -> None:
    await store.changes.set_retry_budget(check_budget(1, "1h", 2))
    claims = await started(store, 6)

    for each in claims:
        await retry(store, [each])

    found = moments(client, store, claims)
    assert found[:2] == [None, None]
    held = [each for each in found[2:] if each is not None]
    assert [later - earlier for earlier, later in pairwise(held)] == [3_600_000] * 3


async def test_a_retry_without_a_token_begins_its_pause_later(store: Store, client: redis.Redis) -> None:
    await store.changes.set_retry_budget(check_budget(1, 10, 1))
    claims = await started(store, 2)
    before = clock(client)
    await retry(store, claims, 60_000)
    first, second = moments(client, store, claims)

    assert first is not None
    assert second is not None
    assert before + 60_000 <= first <= clock(client) + 60_000
    assert second == first + 10_000


async def test_time_that_the_budget_takes_does_not_count_for_the_deadline(
    store: Store, client: redis.Redis
) -> None:
    await store.changes.set_retry_budget(check_budget(1, 3600, 1))
    claims = await started(store, 2)
    await retry(store, claims, within_ms=1_000)
    stored = fields(client, store, claims[1].record.id)

    assert int(stored[b"due_at"]) > int(stored[b"first_started_at"]) + 3_599_000
    assert int(stored[b"start_by"]) - int(stored[b"first_started_at"]) in range(3_600_990, 3_601_001)


async def test_a_call_that_comes_twice_takes_no_token_twice(store: Store, client: redis.Redis) -> None:
    await store.changes.set_retry_budget(check_budget(1, 3600, 2))
    first, second = await started(store, 2)
    await retry(store, [first])
    assert await end(store, (first, Retried("boom", 0))) == ["stale"]
    await retry(store, [second])

    assert moments(client, store, [first, second]) == [None, None]


async def test_tokens_come_back_with_time_by_the_clock_of_the_scripts(server: Server, client: redis.Redis) -> None:
    connection = Connection(server.url, prefix=f"{TEST_PREFIX}budget")
    store = Store(connection, "default")

    try:
        await store.changes.set_retry_budget(check_budget(1, "1h", 1))
        claims = await started(store, 3)
        await retry(store, claims[:2])
        await advance(connection, 2 * 3_600_000)
        await retry(store, claims[2:])

        assert [each is None for each in moments(client, store, claims)] == [True, False, True]
    finally:
        await connection.aclose()
        client.flushall()


@pytest.mark.parametrize(
    "damage",
    [{"limit": "junk"}, {"per": "0"}, {"at_once": "-1"}, {"spent_until": "nan"}, {"spent_until": "1e300"}],
)
async def test_a_damaged_budget_holds_nothing_back(
    damage: dict[str, str], store: Store, client: redis.Redis
) -> None:
    await store.changes.set_retry_budget(check_budget(1, "1h", 5))
    client.hset(store.keys.retry_budget, mapping=damage)
    claims = await started(store, 3)
    await retry(store, claims)

    assert moments(client, store, claims) == [None] * 3


async def test_a_key_of_another_type_in_its_place_stops_no_retry(store: Store, client: redis.Redis) -> None:
    client.set(store.keys.retry_budget, "junk")
    await retry(store, [await start(store)])

    assert fields(client, store)[b"status"] == b"queued"


async def test_a_budget_is_read_as_it_was_set_and_says_when_the_next_retry_may_go(
    store: Store, client: redis.Redis
) -> None:
    assert await store.reads.retry_budget() is None
    await store.changes.set_retry_budget(check_budget(2, "10s", 1))
    assert await store.reads.retry_budget() == RetryBudget(2, 10.0, 1, None)

    before = clock(client)
    await retry(store, await started(store, 3))
    found = await store.reads.retry_budget()
    assert found is not None
    assert found.next_at is not None
    first, last = (datetime.fromtimestamp((each + 15_000) / 1000, UTC) for each in (before, clock(client)))
    assert first <= found.next_at <= last

    await store.changes.set_retry_budget(check_budget(2, "10s", 1))  # a new one is full
    assert await store.reads.retry_budget() == RetryBudget(2, 10.0, 1, None)
    await store.changes.set_retry_budget(None)
    assert await store.reads.retry_budget() is None
    assert client.exists(store.keys.retry_budget) == 0
