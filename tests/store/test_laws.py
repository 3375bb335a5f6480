"""Law 8 and laws 12 to 15 of docs/design.md, as far as today's features can break them."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable

import pytest
import redis

from aioq.store import Store
from aioq.store.keys import LANES
from aioq.values.outcome import Failed, Finished, Interrupted, Retried
from aioq.values.states import FINAL
from tests.store.test_scripts import LIBRARY, SOURCES, bare
from tests.store.tools import LEASE, claim, clock, end, entries, job, listening, passed, put, start, take

TEXTS = SOURCES | LIBRARY

#: Where a field is counted up, and why a repeated call moves it only once.
COUNTED = {
    "history": "a run that is recorded or taken back has ended by then, so the same call finds no run to count",
    "checks/job": "the repair ends the run, and the next look finds none",
}


# 8. Memory is freed.


async def test_of_jobs_with_tags_and_fingerprints_and_deadlines_nothing_is_left(
    store: Store, client: redis.Redis
) -> None:
    waiting = job("e", parents="wa", tags="y")
    waiting.words["deferred_ttl"] = LEASE
    await put(store, "a", "b", "c", tags="x,y", failure_ttl=b"1")
    await put(store, "d", parents="wa", tags="x")
    await store.producing.enqueue_many([waiting])
    await store.changes.delete(["c", "d", "e"])
    await end(store, *((claimed, Failed("boom")) for claimed in await take(store)))
    await passed(client, clock(client) + 2)
    await store.duty.sweep()
    await store.duty.leave("w1")
    lasting = {key for key in client.keys() if client.pttl(key) == -1}
    assert lasting == {b"aioq:queues", store.keys.format}


# 12. A job that may not run stands in no lane.


@pytest.mark.parametrize("way", ["enqueued", "retried"])
async def test_a_scheduled_job_stands_in_no_lane(way: str, store: Store, client: redis.Redis) -> None:
    if way == "enqueued":
        await put(store, "a", due="+60000", front=True, ttl_ms=60_000)
    else:
        assert await end(store, (await start(store), Retried("boom", 60_000, at_front=True))) == ["ok"]

    assert [entries(client, getattr(store.keys, lane)) for lane in LANES] == [[]] * len(LANES)
    assert client.zrange(store.keys.scheduled, 0, -1) == [b"a"]


async def test_the_work_of_a_claim_does_not_grow_with_what_waits_elsewhere(
    store: Store, client: redis.Redis
) -> None:
    async def commands() -> int:
        before = client.info("stats")["total_commands_processed"]
        assert (await claim(store)).jobs == []

        return int(client.info("stats")["total_commands_processed"] - before)

    await put(store, "first", due="+60000")
    await take(store)
    alone = await commands()
    await put(store, *(f"j{number}" for number in range(500)), due="+60000")

    assert await commands() == alone


# 13. There is one way into a final state, end_job.


def test_only_end_job_writes_a_final_state() -> None:
    writes = {
        name
        for name, text in TEXTS.items()
        for call in re.findall(r"redis\.p?call\(\s*'HSET'[^)]*\)", bare(text))
        if "'status'" in call and not re.search(r"'status', '(?:queued|started|scheduled|deferred)'", call)
    }

    # A repeated enqueue writes the state that it has just read, so that the call is a write; see Durability.
    assert writes == {"doors/end_job", "enqueue"}
    assert "HSET', job .. id, 'status', status)" in SOURCES["enqueue"]


def test_whoever_ends_a_job_calls_end_job() -> None:
    ends = {name for name, text in TEXTS.items() if re.search(r"(?<!function )\bend_job\(", bare(text))}

    assert ends == {
        "finish",
        "fail",
        "cancel",
        "stop",
        "reclaim",
        "expire",
        "claim",
        "checks/job",
        "more/dependents",
        "end_wait",
    }
    # A sweep prolongs the retention of a record that other jobs take as an argument.
    assert {"keep", "sweep"} | ends >= {
        name for name, text in TEXTS.items() if re.search(r"\bkeep\(", bare(text))
    } - {"doors/end_job"}


def test_a_script_that_ends_jobs_sends_what_was_gathered() -> None:
    for name, text in SOURCES.items():
        if re.search(r"\b(?:end_job|remove_job|replace|expire)\(", bare(text)):
            assert "flush_ends()" in bare(text), name


# 14. What waits for an end always gets one.


async def by_expiry(store: Store, client: redis.Redis) -> None:
    await take(store)


async def by_finish(store: Store, client: redis.Redis) -> None:
    await end(store, ((await take(store))[0], Finished(b"p", 60_000)))


async def by_failure(store: Store, client: redis.Redis) -> None:
    await end(store, ((await take(store))[0], Failed("boom")))


async def by_cancel(store: Store, client: redis.Redis) -> None:
    await store.changes.cancel("a")


async def by_cancel_of_a_run(store: Store, client: redis.Redis) -> None:
    await take(store)
    await store.changes.cancel("a")


async def by_stop(store: Store, client: redis.Redis) -> None:
    await take(store)
    await store.changes.stop("a")


async def by_delete(store: Store, client: redis.Redis) -> None:
    await store.changes.delete(["a"])


async def by_a_lost_worker(store: Store, client: redis.Redis) -> None:
    client.hset(store.keys.job + b"a", "deaths", b"1 x\n1 y\n1 z\n")
    (claimed,) = await take(store)
    await end(store, (claimed, Interrupted(begun=True)))  # from here on it waits in quarantine
    await take(store)
    client.zadd(store.keys.leases, {"w1": 1})
    await store.duty.reclaim("w1")


#: How a job ends, and as what its end is told.
ENDS: dict[str, tuple[str, Callable[[Store, redis.Redis], Awaitable[None]]]] = {
    "finish": ("finished", by_finish),
    "failure": ("failed", by_failure),
    "cancel": ("canceled", by_cancel),
    "cancel of a run": ("canceled", by_cancel_of_a_run),
    "stop": ("stopped", by_stop),
    "delete": ("deleted", by_delete),
    "lost worker": ("failed", by_a_lost_worker),
    "expiry": ("expired", by_expiry),
}


@pytest.mark.parametrize("way", ENDS)
async def test_whoever_waits_is_told_once_by_every_kind_of_end(
    way: str, store: Store, client: redis.Redis
) -> None:
    told, bring_about = ENDS[way]
    await put(store, "a", ttl_ms=1000 if way == "expiry" else 0)
    await store.producing.wait("channel", ["a"])

    if way == "expiry":
        await passed(client, int(client.hget(store.keys.job + b"a", "expires_at")))

    with listening(client, "channel") as messages:
        await bring_about(store, client)
        found = messages()

    assert [each.split()[:2] for each in found] == [[b"a", told.encode()]]


def test_every_final_state_is_among_these_ends() -> None:
    assert {told for told, _ in ENDS.values()} == {*FINAL, "deleted"}


# 15. Membership is a set of ids, never a counter.


def test_every_counter_is_one_that_a_repeated_call_moves_once() -> None:
    counting = {name for name, text in TEXTS.items() if re.search(r"'\w*INCR\w*'|'\w*DECR\w*'", bare(text))}

    assert counting == set(COUNTED)


@pytest.mark.parametrize("outcome", [Interrupted(begun=True), Interrupted(begun=False)])
async def test_a_run_that_is_given_back_twice_is_counted_once(
    outcome: Interrupted, store: Store, client: redis.Redis
) -> None:
    claimed = await start(store)
    assert await end(store, (claimed, outcome)) == ["ok"]
    before = client.hmget(store.keys.job + b"a", "uncounted", "deliveries")
    assert await end(store, (claimed, outcome)) == ["stale"]

    assert client.hmget(store.keys.job + b"a", "uncounted", "deliveries") == before


async def test_a_lost_worker_is_counted_once(store: Store, client: redis.Redis) -> None:
    await start(store)

    for _ in range(2):
        client.zadd(store.keys.leases, {"w1": 1})
        await store.duty.reclaim("w1")

    assert client.hmget(store.keys.job + b"a", "uncounted", "deliveries") == [b"1", b"1"]
