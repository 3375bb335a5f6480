"""Callbacks: jobs that are made by the script that ends their job, or retries it."""

from __future__ import annotations

import pytest
import redis

from aioq.store import Store
from aioq.values.outcome import Failed, Finished, Interrupted, Outcome, Retried
from aioq.values.webhook import SENDER
from tests.store.tools import (
    audit,
    bring,
    claim,
    clock,
    end,
    entries,
    fields,
    job,
    listening,
    passed,
    put,
    start,
    status,
    take,
)

ALL = "on_success,on_failure,on_stopped,on_canceled,on_expired,on_retry"

#: The callback that each end of a job makes.
TABLE = {
    "finished": "on_success",
    "failed": "on_failure",
    "stopped": "on_stopped",
    "canceled": "on_canceled",
    "expired": "on_expired",
}

BURIED = b"3 x\n3 y\n"


def waiting(client: redis.Redis, store: Store) -> list[str]:
    """The callbacks that wait or run."""
    return [each.decode() for each in entries(client, store.keys.callbacks)]


@pytest.mark.parametrize("state", TABLE)
async def test_each_end_has_its_callback(store: Store, client: redis.Redis, state: str) -> None:
    await bring(store, client, state, callbacks=ALL, **{"meta.a": b"x"})
    fence = fields(client, store).get(b"fence", b"0").decode()
    (made,) = waiting(client, store)
    assert made == f"a.{fence}.{TABLE[state]}"
    carried = fields(client, store, made)
    assert (carried[b"status"], carried[b"func"]) == (b"queued", b"m.f")
    assert (carried[b"job.status"], carried[b"job.meta.a"]) == (state.encode(), b"x")
    assert carried[b"job.ended_at"] == fields(client, store)[b"ended_at"]
    assert not [name for name in carried if name.startswith(b"job.on_") or name in (b"job.after", b"job.nonce")]
    assert audit(client, store) == []


@pytest.mark.parametrize("state", ["queued", "scheduled", "started", "deferred"])
async def test_a_job_that_has_not_ended_has_none(store: Store, client: redis.Redis, state: str) -> None:
    await bring(store, client, state, callbacks=ALL)
    assert waiting(client, store) == []
    await store.changes.delete(["a"])
    assert waiting(client, store) == [], "nor has one that is deleted"


@pytest.mark.parametrize("state", TABLE)
async def test_each_end_has_the_webhooks_that_are_told_of_it(
    store: Store, client: redis.Redis, state: str
) -> None:
    kind = TABLE[state]
    await bring(store, client, state, callbacks=ALL, webhooks=f"{ALL} on_retry {kind}")
    fence = fields(client, store).get(b"fence", b"0").decode()
    assert waiting(client, store) == [f"a.{fence}.{kind}{number}" for number in ("", ".1", ".3")]
    made = fields(client, store, f"a.{fence}.{kind}.3")
    assert (made[b"func"], made[b"opts"], made[b"data"]) == (SENDER, b'{"timeout":1000}', b"j2")
    assert made[b"job.status"] == state.encode()
    assert b"job.webhooks" not in made
    assert audit(client, store) == []


async def test_a_retry_has_webhooks(store: Store, client: redis.Redis) -> None:
    claimed = await start(store, webhooks="on_retry on_failure")
    await end(store, (claimed, Retried("boom", 0)))
    assert waiting(client, store) == [f"a.{claimed.fence}.on_retry.1"]


async def test_webhooks_that_are_damaged_hold_up_no_end(store: Store, client: redis.Redis) -> None:
    claimed = await start(store, webhooks="on_success on_success")
    whole = fields(client, store)[b"webhooks"]
    client.hset(store.keys.job + b"a", "webhooks", whole.replace(b" 16 2\n", b" 99999 2\n", 1))
    await end(store, (claimed, Finished(b"p", 60_000)))
    assert waiting(client, store) == [f"a.{claimed.fence}.on_success.1"]


async def test_only_those_that_were_asked_for_are_made(store: Store, client: redis.Redis) -> None:
    claimed = await start(store, callbacks="on_failure")
    await end(store, (claimed, Finished(b"p", 60_000)))
    assert waiting(client, store) == []


@pytest.mark.parametrize(
    ("outcome", "field", "value"),
    [
        (Finished(b"pr", 60_000), b"job.result", b"pr"),
        (Finished(b"pr", 0), b"job.result", b"pr"),
        (Failed("boom"), b"job.error", b"boom"),
    ],
)
async def test_it_carries_what_the_job_came_to(
    store: Store, client: redis.Redis, outcome: Outcome, field: bytes, value: bytes
) -> None:
    """Also if nothing is kept of that."""
    claimed = await start(store, callbacks=ALL, failure_ttl=b"0", data=b"pd")
    await end(store, (claimed, outcome))
    (made,) = waiting(client, store)
    carried = fields(client, store, made)
    assert (carried[field], carried[b"job.fence"]) == (value, b"1")
    assert carried[b"job.status"] == (b"finished" if isinstance(outcome, Finished) else b"failed")
    assert carried[b"failure_ttl"] == b"0", "it is kept as long as its job"
    assert b"data" not in carried


async def test_a_call_that_is_sent_twice_makes_one(store: Store, client: redis.Redis) -> None:
    claimed = await start(store, callbacks=ALL)
    outcome = (claimed, Finished(b"pr", 60_000))
    assert [await end(store, outcome) for _ in range(2)] == [["ok"], ["already"]]
    assert waiting(client, store) == ["a.1.on_success"]


async def test_a_retry_has_one_after_each_attempt(store: Store, client: redis.Redis) -> None:
    claimed = await start(store, callbacks=ALL)
    assert await end(store, (claimed, Retried("boom", 60_000))) == ["ok"]
    assert waiting(client, store) == ["a.1.on_retry"]
    carried = fields(client, store, "a.1.on_retry")
    assert (carried[b"job.status"], carried[b"job.error"]) == (b"scheduled", b"boom")
    assert carried[b"job.due_at"] == fields(client, store)[b"due_at"]
    assert audit(client, store) == []


async def test_a_job_that_goes_back_has_none(store: Store, client: redis.Redis) -> None:
    claimed = await start(store, callbacks=ALL)
    await end(store, (claimed, Interrupted(begun=True)))
    await store.duty.reclaim("w1", [], 1)
    assert waiting(client, store) == []


async def test_a_job_that_its_worker_was_lost_with_has_one_when_it_fails(
    store: Store, client: redis.Redis
) -> None:
    claimed = await start(store, callbacks=ALL)
    client.hset(store.keys.job + b"a", mapping={"deaths": BURIED, "is_alone": "1"})
    client.zadd(store.keys.leases, {"w1": 1})
    assert await store.duty.reclaim("w1") == (False, [], [claimed.record.id])
    assert waiting(client, store) == ["a.1.on_failure"]
    assert b"AbandonedJobError" in fields(client, store, "a.1.on_failure")[b"job.error"]


async def test_a_dependent_that_is_ended_has_one(store: Store, client: redis.Redis) -> None:
    await put(store, "a", failure_ttl=b"60000")
    await put(store, "b", parents="fa", callbacks=ALL)
    (claimed,) = await take(store)
    await end(store, (claimed, Failed("boom")))
    assert await status(store, "b") == "failed"
    assert waiting(client, store) == ["b.0.on_failure"]


async def test_those_who_wait_hear_of_the_end_as_well(store: Store, client: redis.Redis) -> None:
    claimed = await start(store, callbacks=ALL)
    await store.producing.wait("c1", ["a"])
    with listening(client, "c1") as messages:
        await end(store, (claimed, Finished(b"pr", 60_000)))
        assert messages() == [b"a finished 2\npr"]
    assert waiting(client, store) == ["a.1.on_success"]


# Its own life


async def test_it_is_claimed_before_other_jobs(store: Store, client: redis.Redis) -> None:
    claimed = await start(store, callbacks=ALL)
    await put(store, "b", front=True)
    await end(store, (claimed, Finished(b"pr", 60_000)))
    assert client.llen(store.keys.wake) == 1, "an idle worker is told"
    assert [each.record.id for each in await take(store)] == ["a.1.on_success", "b"]


async def test_it_is_not_counted_with_the_jobs(store: Store, client: redis.Redis) -> None:
    await bring(store, client, "canceled", callbacks=ALL)
    counts = await store.reads.count()
    assert (counts.queued, counts.jobs["started"], counts.callbacks) == (0, 0, 1)
    (claimed,) = await take(store)
    counts = await store.reads.count()
    assert (counts.queued, counts.jobs["started"], counts.callbacks) == (0, 0, 1)
    assert (await store.reads.ids("queued"))[0] == (await store.reads.ids("started"))[0] == []
    await end(store, (claimed, Finished(b"p", 60_000)))
    assert (await store.reads.count()).callbacks == 0


async def test_one_that_has_finished_stands_in_no_registry(store: Store, client: redis.Redis) -> None:
    await bring(store, client, "canceled", callbacks=ALL)
    (claimed,) = await take(store)
    assert await end(store, (claimed, Finished(b"p", 60_000))) == ["ok"]
    assert await status(store, "a.0.on_canceled") == "finished"
    assert 0 < client.pttl(store.keys.job + b"a.0.on_canceled") <= 60_000
    assert (await store.reads.ids("finished"))[0] == []
    assert audit(client, store) == []
    assert (await claim(store)).jobs == []
    assert not client.exists(store.keys.callbacks, store.keys.lanes), "an empty lane goes with a claim"


async def test_one_that_has_failed_stands_where_failures_stand(store: Store, client: redis.Redis) -> None:
    await bring(store, client, "canceled", callbacks=ALL, failure_ttl=b"60000")
    (claimed,) = await take(store)
    await end(store, (claimed, Failed("boom")))
    assert (await store.reads.ids("failed"))[0] == ["a.0.on_canceled"]
    assert 0 < client.pttl(store.keys.job + b"a.0.on_canceled") <= 60_000
    assert audit(client, store) == []


@pytest.mark.parametrize("way", ["retry", "later", "give_back", "reclaim", "requeue"])
async def test_it_comes_back_to_its_own_lane(store: Store, client: redis.Redis, way: str) -> None:
    await bring(store, client, "canceled", callbacks=ALL)
    (claimed,) = await take(store)
    callback = claimed.record.id

    if way == "retry":
        await end(store, (claimed, Retried("boom", 0)))
    elif way == "later":
        await end(store, (claimed, Retried("boom", 1)))
        await passed(client, clock(client) + 1)
        assert [each.record.id for each in await take(store)] == [callback]
    elif way == "give_back":
        await end(store, (claimed, Interrupted(begun=True)))
    elif way == "reclaim":
        client.zadd(store.keys.leases, {"w1": 1})
        await store.duty.reclaim("w1")
    else:
        await end(store, (claimed, Failed("boom")))
        await store.changes.requeue([callback], at_front=False, reset=True)

    assert waiting(client, store) == [callback]
    assert audit(client, store) == []


async def test_a_second_end_without_a_claim_between_takes_the_place_of_the_first(
    store: Store, client: redis.Redis
) -> None:
    """It has the same id."""
    await bring(store, client, "canceled", callbacks=ALL)
    await store.changes.requeue(["a"], at_front=False, reset=True)
    await store.changes.cancel("a")
    assert waiting(client, store) == ["a.0.on_canceled"], "the first one has not ended, and stands for both"
    (claimed,) = await take(store)
    await end(store, (claimed, Failed("boom")))

    await store.changes.requeue(["a"], at_front=False, reset=True)
    await store.changes.cancel("a")
    assert waiting(client, store) == ["a.0.on_canceled"]
    assert await status(store, "a.0.on_canceled") == "queued"
    assert (await store.reads.ids("failed"))[0] == []
    assert audit(client, store) == []


# Jobs with a ttl


async def test_the_record_of_a_job_with_a_ttl_does_not_go_by_itself(store: Store, client: redis.Redis) -> None:
    await put(store, "a", ttl_ms=60_000, callbacks=ALL)
    assert client.pttl(store.keys.job + b"a") == -1
    assert audit(client, store) == []


async def test_an_enqueue_ends_a_late_job_if_no_worker_does(store: Store, client: redis.Redis) -> None:
    await put(store, "a", ttl_ms=60_000, callbacks=ALL)
    entry = fields(client, store)[b"entry"]
    client.hset(store.keys.job + b"a", "expires_at", 1)
    client.zadd(store.keys.expiring, {b"a " + entry: 1})
    await put(store, "b", ttl_ms=60_000)
    assert waiting(client, store) == ["a.0.on_expired"]
    assert entries(client, store.keys.main) == [b"b"]
    assert await status(store, "a") in (None, "expired")


async def test_a_late_job_whose_id_is_used_again_has_its_callback(store: Store, client: redis.Redis) -> None:
    await put(store, "a", ttl_ms=1, nonce="x", callbacks=ALL)
    fence = fields(client, store)[b"fence"].decode()
    await passed(client, clock(client) + 1)
    await store.producing.enqueue(job("a", nonce="y"))
    assert waiting(client, store) == [f"a.{fence}.on_expired"]
    assert fields(client, store, f"a.{fence}.on_expired")[b"job.status"] == b"expired"


# Damage


async def test_a_damaged_definition_makes_none(store: Store, client: redis.Redis) -> None:
    claimed = await start(store, callbacks=ALL)
    client.hset(store.keys.job + b"a", "on_success", "nothing")
    assert await end(store, (claimed, Finished(b"pr", 60_000))) == ["ok"]
    assert waiting(client, store) == []


async def test_many_fields_are_carried(store: Store, client: redis.Redis) -> None:
    many = {f"meta.{number}": b"x" for number in range(3_000)}
    await put(store, "a", callbacks=ALL, **many)
    await store.changes.cancel("a")
    carried = fields(client, store, "a.0.on_canceled")
    assert sum(name.startswith(b"job.meta.") for name in carried) == 3_000
