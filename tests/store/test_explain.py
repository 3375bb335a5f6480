"""Explain: what the script tells of a job in each state. It never writes, and stands whatever is stored."""

from __future__ import annotations

import json

import pytest
import redis

from aioq import acting_as
from aioq.client.explained import explain_job
from aioq.store import Connection, Store
from aioq.store.acting import act_of
from aioq.values.explanation import Explanation, Reason, ReasonKind
from aioq.values.outcome import Failed, Retried
from aioq.values.pause import pack_pause
from aioq.values.states import JobStatus
from tests.store.tools import LATE, beat, bring, claim, clock, end, passed, put, start, take, unchanged

K = ReasonKind

FIRST: dict[str, ReasonKind] = {
    "queued": K.AHEAD,
    "scheduled": K.DUE,
    "deferred": K.PARENT,
    "started": K.RUNS,
    "finished": K.FINISHED,
    "failed": K.FAILED,
    "canceled": K.CANCELED,
    "stopped": K.STOPPED,
    "expired": K.EXPIRED,
    LATE: K.EXPIRED,
}


def kinds(explanation: Explanation) -> list[ReasonKind]:
    return [each.kind for each in explanation.reasons]


def only(explanation: Explanation, kind: ReasonKind) -> Reason:
    (found,) = [each for each in explanation.reasons if each.kind == kind]

    return found


@pytest.mark.parametrize("state", FIRST)
async def test_each_state_is_explained_and_nothing_is_written(
    store: Store, client: redis.Redis, state: str
) -> None:
    assert FIRST.keys() == {*map(str, JobStatus), LATE}
    await store.duty.join("idle", 60_000)
    await bring(store, client, state)

    with unchanged(client):
        found = await explain_job(store, "a")

    assert found.status == ("expired" if state == LATE else state)
    assert kinds(found) == [FIRST[state]]


async def test_a_job_that_is_gone_was_perhaps_there_a_moment_ago(store: Store) -> None:
    assert kinds(await explain_job(store, "never")) == [K.GONE]
    await put(store, "a")
    await put(store, "chosen", nonce="n")
    await store.changes.delete(["a", "chosen"])

    for job_id, nonce, is_recent in (("never", b"", 0), ("a", b"", 1), ("chosen", b"", 0), ("chosen", b"n", 1)):
        (reason,) = (await explain_job(store, job_id, nonce)).reasons
        assert reason.data["is_recent"] == is_recent


async def test_a_pause_and_a_suspension_are_told_with_what_is_known(store: Store, client: redis.Redis) -> None:
    await put(store, "a")
    await store.changes.pause(60_000, told=pack_pause("the disk is full", "ann"))
    client.set(store.keys.suspended, "1")
    found = await explain_job(store, "a")
    assert kinds(found) == [K.SUSPENDED, K.PAUSED, K.NO_WORKER, K.AHEAD]
    told = only(found, K.PAUSED).data
    assert (told["reason"], told["by"]) == ("the disk is full", "ann")
    assert clock(client) < told["until"].timestamp() * 1000 <= clock(client) + 60_000
    assert only(found, K.SUSPENDED).data == {"reason": None, "by": None, "until": None}


async def test_the_place_in_the_lanes_is_exact(store: Store) -> None:
    await put(store, "a", "b", "c", "d")
    await put(store, "f", front=True)
    await take(store, limit=2)  # f and a
    await put(store, "g", front=True)
    ahead = {each: only(await explain_job(store, each), K.AHEAD).data for each in "bcdg"}
    assert {name: data["ahead"] for name, data in ahead.items()} == {"g": 0, "b": 1, "c": 2, "d": 3}
    assert {name: data["lane"] for name, data in ahead.items()} == {
        "g": "front",
        "b": "main",
        "c": "main",
        "d": "main",
    }
    assert all(data["is_exact"] for data in ahead.values())


async def test_beyond_a_thousand_the_place_is_estimated(store: Store) -> None:
    ids = [f"j{number}" for number in range(1_400)]
    await put(store, *ids)
    last = only(await explain_job(store, ids[1_000]), K.AHEAD).data
    assert (last["ahead"], last["is_exact"]) == (1_000, True)
    far = only(await explain_job(store, ids[1_200]), K.AHEAD).data
    assert not far["is_exact"]
    assert 1_001 <= far["ahead"] <= 1_400


async def test_the_work_does_not_grow_with_what_waits(store: Store, client: redis.Redis) -> None:
    def commands() -> int:
        return sum(each["calls"] for name, each in client.info("commandstats").items() if "info" not in name)

    await put(store, "a")
    await store.reads.explain("a")
    before = commands()
    await store.reads.explain("a")
    few = commands() - before
    await put(store, *[f"j{number}" for number in range(2_000)])
    before = commands()
    await store.reads.explain("j1999")
    assert commands() - before == few


async def test_the_statistics_tell_when_a_job_is_expected_to_begin(store: Store, client: redis.Redis) -> None:
    await put(store, "a", "b", "c")
    await store.duty.join("idle", 60_000)
    assert "expected_at" not in only(await explain_job(store, "c"), K.AHEAD).data
    now = clock(client)

    def tell(words: bytes, minutes_ago: int) -> None:
        at = now - minutes_ago * 60_000
        client.hset(store.keys.minutes + b"%d" % (at // 3_600_000), str(at % 3_600_000 // 60_000), words)

    tell(b"started=1", 3)
    tell(b"w31=7 waiting=9 started=6 finished=5", 2)
    told = only(await explain_job(store, "c"), K.AHEAD).data
    assert told["rate"] == 0.1
    assert 0 <= told["expected_at"].timestamp() * 1000 - now - 20_000 < 10_000
    tell(b"\xff\x00 waiting=9 started=-1 started=" + b"9" * 99, 2)
    assert "expected_at" not in only(await explain_job(store, "c"), K.AHEAD).data
    client.delete(*client.keys("*:minutes:*"))


async def test_who_has_canceled_stopped_or_deleted_a_job_is_told(store: Store) -> None:
    ids = [f"j{number}" for number in range(30)]
    await start(store, "runs")
    await put(store, "first", "gone", *ids)

    with acting_as("ann", reason="why not", source="web"):
        await store.changes.cancel("first")
        await store.changes.stop("runs")
        await store.changes.delete(["gone"])
        await store.changes.pause(told="1", act=act_of("pause"))

    await store.changes.cancel("j0")

    with acting_as("bob"):
        act = act_of("cancel")

        for each in ids[1:]:  # one act
            await store.changes.cancel(each, act=act)

    for job_id, kind, by in (
        ("first", K.CANCELED, "ann"),
        ("runs", K.STOPPED, "ann"),
        ("gone", K.GONE, "ann"),
        ("j0", K.CANCELED, None),
        ("j1", K.CANCELED, "bob"),
        ("j20", K.CANCELED, "bob"),
        ("j29", K.CANCELED, None),  # a row names the first twenty
        ("never", K.GONE, None),
    ):
        assert only(await explain_job(store, job_id), kind).data.get("by") == by, job_id


async def test_the_look_into_the_audit_is_bounded_and_bears_damage(store: Store, client: redis.Redis) -> None:
    with acting_as("ann"):
        await put(store, "a", "b")
        await store.changes.cancel("a")
        await store.changes.delete(["b"])

    now = clock(client)
    told = json.dumps(["eve", "code", "cancel", "", ""])
    client.zadd(store.keys.audit, {f'["w{number}",1,"x"]\n{told}': now + 1 + number for number in range(9_000)})
    client.zadd(store.keys.audit, {b'\xff"a"': now + 1, b"": now + 1, b'["w",1,"b"]\n[': now + 99_999})
    assert only(await explain_job(store, "a"), K.CANCELED).data["by"] == "ann"
    assert "by" not in only(await explain_job(store, "b"), K.GONE).data  # it went too long ago
    client.delete(store.keys.audit)
    client.set(store.keys.audit, "x")
    assert "by" not in only(await explain_job(store, "a"), K.CANCELED).data
    assert "by" not in only(await explain_job(store, "b"), K.GONE).data
    client.delete(store.keys.audit)


@pytest.fixture
def unaudited(connection: Connection) -> Store:
    """A queue that a test damages: what stands there at the end need not be whole."""
    return Store(connection, "default")


async def test_a_job_without_an_entry_in_its_lane_is_damaged(unaudited: Store, client: redis.Redis) -> None:
    await put(unaudited, "a")
    client.xtrim(unaudited.keys.main, maxlen=0)
    assert kinds(await explain_job(unaudited, "a")) == [K.NO_WORKER, K.DAMAGED]


async def test_a_lost_lease_and_then_the_run_that_was_lost(store: Store, client: redis.Redis) -> None:
    await start(store)
    await beat(store, "w1", 1)
    await passed(client, clock(client) + 2)
    found = await explain_job(store, "a")
    assert kinds(found) == [K.LEASE_ENDED, K.NO_WORKER]
    told = only(found, K.LEASE_ENDED).data
    assert told["worker"] == "w1"
    assert told["lease_ended_at"].timestamp() * 1000 <= clock(client)
    assert only(found, K.NO_WORKER).data["last_worker"] == "w1"
    await store.duty.reclaim("w1")
    found = await explain_job(store, "a")
    assert kinds(found) == [K.NO_WORKER, K.WORKER_LOST, K.AHEAD]
    assert only(found, K.WORKER_LOST).data["worker"] == "w1"


async def test_quarantine_names_the_workers_that_died(store: Store, client: redis.Redis) -> None:
    await start(store, "beside", "w0")
    await put(store, "a")

    for name in ("w1", "w2"):
        await store.duty.join(name, 60_000)
        assert [each.record.id for each in (await claim(store, name, 1)).jobs] == ["a"]
        await store.duty.reclaim(name, reaped=True)

    told = only(await explain_job(store, "a"), K.QUARANTINE)
    assert told.data == {"lane": "suspects", "workers": ["w1", "w2"], "beside": [0, 0]}


async def test_a_retry_tells_the_error_of_the_attempt_before(store: Store) -> None:
    failed = json.dumps({"type": "ValueError", "message": "boom"}) + "\n" + "Traceback " * 100
    claimed = await start(store, opts=b'{"retry":{"max":2,"interval_ms":[60000]}}')
    assert await end(store, (claimed, Retried(failed, 60_000))) == ["ok"]
    found = await explain_job(store, "a")
    assert kinds(found) == [K.RETRY, K.ATTEMPT_FAILED]
    assert "Attempt 1 of 3 failed on worker w1: ValueError: boom." in found.reasons[1].text
    assert len((await store.reads.explain("a")).record.fields[b"error"]) < 100


async def test_a_spent_retry_budget_holds_a_retry_back(store: Store) -> None:
    await store.changes.set_retry_budget({b"limit": 1, b"per": 600_000, b"at_once": 1, b"spent_until": 0})

    for job_id in ("a", "b"):
        claimed = await start(store, job_id, opts=b'{"retry":{"max":2,"interval_ms":[1000]}}')
        await end(store, (claimed, Retried("boom", 1_000)))

    told = only(await explain_job(store, "b"), K.RETRY_BUDGET)
    assert 590_000 < told.data["held_ms"] <= 600_000


async def test_parents_are_told_with_their_states(store: Store) -> None:
    await put(store, "p", "q", "r")
    await put(store, "a", parents="wp,rq,cr")
    await store.changes.cancel("p")
    await take(store, limit=1)  # q
    found = await explain_job(store, "a")
    told = {each.data["job"]: (each.kind, each.data["status"]) for each in found.reasons}
    assert told == {
        "p": (K.PARENT_UNFINISHED, "canceled"),
        "q": (K.PARENT, "started"),
        "r": (K.PARENT, "queued"),
    }
    await store.changes.cancel("r")
    found = await explain_job(store, "a")
    assert (found.status, kinds(found)) == (JobStatus.CANCELED, [K.ENDED_BY_PARENT])
    assert "`aioq job requeue r --dependents" in found.reasons[0].remedy


async def test_of_very_many_parents_some_are_read(store: Store) -> None:
    ids = [f"p{number}" for number in range(400)]
    await put(store, *ids)
    await put(store, "a", parents=",".join(f"w{each}" for each in ids))
    facts = await store.reads.explain("a")
    assert facts.open == 400
    assert 0 < len(facts.parents) <= 100


async def test_neither_the_call_nor_the_result_is_read(store: Store) -> None:
    claimed = await start(store, data=b"pnot a pickle" + b"x" * 100_000)
    await end(store, (claimed, Failed("e" * 100_000)))
    fields = (await store.reads.explain("a")).record.fields
    assert {b"data", b"result"} & fields.keys() == set()
    assert len(fields[b"error"]) < 20_000


@pytest.mark.parametrize("name", ["paused", "retry_budget", "job", "attempts"])
async def test_a_key_of_another_type_is_no_end(unaudited: Store, client: redis.Redis, name: str) -> None:
    await bring(unaudited, client, "scheduled" if name == "retry_budget" else "queued")
    key = unaudited.keys[name] + (b"a" if name in ("job", "attempts") else b"")
    client.hset(unaudited.keys.job + b"a", "fence", "1")
    client.delete(key)
    client.sadd(key, "x")
    found = await explain_job(unaudited, "a")
    assert (K.PAUSED in kinds(found)) == (name == "paused")
    assert (K.DAMAGED in kinds(found)) == (name == "job")
    client.delete(key)  # what looks for leaks cannot read it
