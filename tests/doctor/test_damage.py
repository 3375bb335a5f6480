"""Damage of each kind is planted, found, named and repaired; then the queue works, and nothing more is found."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import redis

import aioq.store
from aioq import JobStatus, Queue
from aioq.doctor import KINDS, examine
from aioq.store import Store
from aioq.values.outcome import Finished, FinishedRun
from aioq.values.states import FINAL
from tests import jobs
from tests.conftest import Server
from tests.store.tools import LEASE, bring, claim, clock, dump, end, fields, job, put, start, take
from tests.tools import assert_sound

Plant = Callable[[Store, redis.Redis], Awaitable[Any]]
JOB = b"aioq:{default}:job:a"


class Damage(NamedTuple):
    """What is done to a queue with a job `a`, what is to be found, and how the job is to end.

    ends: "runs" (a worker then finishes it), a status that it keeps, or "" (there is none).
    """

    name: str
    plant: Plant
    found: set[tuple[str, str]]
    ends: str


DAMAGES: list[Damage] = []


def damage(ends: str, *found: str) -> Callable[[Plant], Plant]:
    """Registers a plant; `found` is kinds, each about the job `a`, or `kind name`."""

    def register(plant: Plant) -> Plant:
        expected = {(kind, name or "a") for kind, _, name in (each.partition(" ") for each in found)}
        DAMAGES.append(Damage(plant.__name__, plant, expected, ends))
        return plant

    return register


async def queued(store: Store, **options: Any) -> None:
    await put(store, "a", **options)


def entry_of(client: redis.Redis) -> bytes:
    entry = client.hget(JOB, "entry")
    assert entry is not None
    return entry.removeprefix(b"front/")


# The retry budget


@damage("runs", "bad-retry-budget aioq:{default}:retry_budget")
async def a_budget_of_no_retries(store: Store, client: redis.Redis) -> None:
    await queued(store)
    client.hset(store.keys.retry_budget, mapping={"limit": 0, "per": 1000, "at_once": 1})


@damage("runs", "bad-retry-budget aioq:{default}:retry_budget")
async def a_budget_that_lacks_a_field(store: Store, client: redis.Redis) -> None:
    await queued(store)
    client.hset(store.keys.retry_budget, mapping={"limit": 5, "at_once": 1})


@damage("runs", "unwanted-retention aioq:{default}:retry_budget")
async def a_budget_that_would_end_by_itself(store: Store, client: redis.Redis) -> None:
    await queued(store)
    await store.changes.set_retry_budget({b"limit": 5, b"per": 1000, b"at_once": 1, b"spent_until": 0})
    client.expire(store.keys.retry_budget, 60)


@damage("runs", "wrong-type aioq:{default}:retry_budget")
async def what_is_no_budget(store: Store, client: redis.Redis) -> None:
    await queued(store)
    client.set(store.keys.retry_budget, "5/s")


@damage("runs", "field-unreadable")
async def a_deadline_that_is_no_moment(store: Store, client: redis.Redis) -> None:
    await queued(store)
    client.hset(JOB, "start_by", "soon")


# What answers calls that are sent again


@damage("runs", "no-retention aioq:{default}:gone:b/")
async def a_tombstone_that_would_stay(store: Store, client: redis.Redis) -> None:
    await queued(store)
    client.set(store.keys.gone + b"b/", "")


@damage("runs", "no-retention aioq:{default}:done:word")
async def a_receipt_that_would_stay(store: Store, client: redis.Redis) -> None:
    await queued(store)
    client.set(store.keys.done + b"word", '["ok"]')


@damage("runs", "wrong-type aioq:{default}:gone:b/", "wrong-type aioq:{default}:done:word")
async def what_is_no_answer(store: Store, client: redis.Redis) -> None:
    await queued(store)
    client.rpush(store.keys.gone + b"b/", "")
    client.hset(store.keys.done + b"word", "a", "b")


# Jobs that repeat


@damage("runs", "field-unreadable")
async def a_series_that_nobody_can_count(store: Store, client: redis.Redis) -> None:
    await end(store, (await start(store), FinishedRun(b"j1", 60_000, b"", 1)))
    client.hset(JOB, "repeats", "often")


@damage("scheduled", "job-without-index")
async def a_job_between_two_runs_that_the_schedule_does_not_have(store: Store, client: redis.Redis) -> None:
    await end(store, (await start(store), FinishedRun(b"j1", 60_000, b"", clock(client) + 60_000)))
    client.zrem(store.keys.scheduled, "a")


@damage("scheduled", "unwanted-retention")
async def a_job_between_two_runs_that_would_go(store: Store, client: redis.Redis) -> None:
    await end(store, (await start(store), FinishedRun(b"j1", 60_000, b"", clock(client) + 60_000)))
    client.pexpire(JOB, 60_000)
    client.pexpire(store.keys.attempts + b"a", 60_000)


# Jobs that wait


@damage("runs", "job-without-index")
async def queued_and_not_in_the_lane(store: Store, client: redis.Redis) -> None:
    await queued(store)
    client.xdel(store.keys.main, entry_of(client))


@damage("runs", "job-without-index")
async def queued_and_the_lane_is_gone(store: Store, client: redis.Redis) -> None:
    await queued(store)
    client.delete(store.keys.main)


@damage("runs", "job-without-index")
async def queued_with_an_entry_that_is_none(store: Store, client: redis.Redis) -> None:
    await queued(store)
    client.xdel(store.keys.main, entry_of(client))
    client.hset(JOB, "entry", "front/99999999999999999999999999999999999999-1")


@damage("runs", "job-without-index", "entry-without-job")
async def queued_without_an_entry_field(store: Store, client: redis.Redis) -> None:
    await queued(store)
    client.hdel(JOB, "entry")


@damage("runs", "entry-passed-over")
async def queued_behind_what_was_handed_out(store: Store, client: redis.Redis) -> None:
    await store.duty.join("w1", LEASE)
    await queued(store)
    client.xgroup_setid(store.keys.main, "workers", "$")


@damage("runs", "entry-passed-over", "consumer-left-over w1")
async def queued_and_acknowledged_by_hand(store: Store, client: redis.Redis) -> None:
    await store.duty.join("w1", LEASE)
    await queued(store)
    client.xreadgroup("workers", "w1", {store.keys.main: ">"})
    client.xack(store.keys.main, "workers", entry_of(client))
    client.zrem(store.keys.leases, "w1")


@damage("runs", "job-in-two-indexes")
async def queued_and_held_by_a_worker(store: Store, client: redis.Redis) -> None:
    await store.duty.join("w1", LEASE)
    await queued(store)
    client.xreadgroup("workers", "w1", {store.keys.main: ">"})


@damage("runs", "job-in-wrong-index")
async def queued_and_in_the_schedule(store: Store, client: redis.Redis) -> None:
    await queued(store)
    client.zadd(store.keys.scheduled, {"a": clock(client) + LEASE})


@damage("runs", "entry-without-job")
async def queued_twice(store: Store, client: redis.Redis) -> None:
    await queued(store)
    client.xadd(store.keys.front, {"id": "a"})


@damage("runs", "unwanted-retention")
async def queued_and_about_to_vanish(store: Store, client: redis.Redis) -> None:
    await queued(store)
    client.pexpire(JOB, LEASE)


@damage("runs", "index-differs")
async def queued_with_a_ttl_and_no_deadline(store: Store, client: redis.Redis) -> None:
    await queued(store, ttl_ms=LEASE)
    client.delete(store.keys.expiring)


@damage("runs", "index-differs", "job-in-wrong-index")
async def queued_with_a_ttl_and_no_moment(store: Store, client: redis.Redis) -> None:
    await queued(store, ttl_ms=LEASE)
    client.hdel(JOB, "expires_at")


@damage("runs", "no-retention")
async def queued_with_a_ttl_and_for_ever(store: Store, client: redis.Redis) -> None:
    await queued(store, ttl_ms=LEASE)
    client.persist(JOB)


@damage("expired", "index-differs")
async def late_and_not_in_the_index_of_deadlines(store: Store, client: redis.Redis) -> None:
    await bring(store, client, "late")
    client.delete(store.keys.expiring)


@damage("runs", "job-without-index")
async def scheduled_and_not_in_the_schedule(store: Store, client: redis.Redis) -> None:
    await queued(store, due="+1")
    client.delete(store.keys.scheduled)


@damage("scheduled", "job-without-index")
async def scheduled_for_a_moment_that_never_comes(store: Store, client: redis.Redis) -> None:
    await queued(store, due=f"+{LEASE}")
    client.zadd(store.keys.scheduled, {"a": float("inf")})


@damage("scheduled", "index-differs")
async def scheduled_for_two_moments(store: Store, client: redis.Redis) -> None:
    await queued(store, due=f"+{LEASE}")
    client.hincrby(JOB, "due_at", 5)


@damage("runs", "field-unreadable")
async def scheduled_for_no_moment(store: Store, client: redis.Redis) -> None:
    await queued(store, due="+1")
    client.hset(JOB, "due_at", "soon")


@damage("scheduled", "unwanted-retention")
async def scheduled_and_about_to_vanish(store: Store, client: redis.Redis) -> None:
    await queued(store, due=f"+{LEASE}")
    client.pexpire(JOB, LEASE)


# Jobs that run


async def _started_and_lost(store: Store, client: redis.Redis) -> None:
    """A run of a worker whose lease has ended; whoever comes next takes it back."""
    await start(store)
    client.zadd(store.keys.leases, {"w1": clock(client) - 1})


@damage("runs", "run-without-holder")
async def started_and_the_consumer_was_deleted(store: Store, client: redis.Redis) -> None:
    await _started_and_lost(store, client)
    client.xgroup_delconsumer(store.keys.front, "workers", "w1")


@damage("runs", "lane-not-served aioq:{default}:lane:suspects")
async def in_quarantine_that_no_claim_looks_at(store: Store, client: redis.Redis) -> None:
    await _started_and_lost(store, client)
    await store.duty.reclaim("w1")
    await take(store)
    client.zadd(store.keys.leases, {"w1": clock(client) - 1})
    await store.duty.reclaim("w1")
    client.delete(store.keys.lanes)


# Callbacks


@damage("runs", "callback-untold")
async def with_a_callback_that_its_end_would_not_call(store: Store, client: redis.Redis) -> None:
    await queued(store, callbacks="on_success,on_failure")
    client.hset(JOB, "after", "on_failure")


@damage("runs", "callback-unreadable")
async def with_a_callback_that_is_none(store: Store, client: redis.Redis) -> None:
    await queued(store, callbacks="on_retry")
    client.hset(JOB, "on_retry", "?")


@damage("runs", "callback-untold")
async def with_a_webhook_that_its_end_would_not_send(store: Store, client: redis.Redis) -> None:
    await queued(store, webhooks="on_success,on_failure on_retry")
    client.hset(JOB, "after", "on_success on_failure")


@damage("runs", "callback-unreadable")
async def with_webhooks_of_which_one_is_cut_off(store: Store, client: redis.Redis) -> None:
    await queued(store, webhooks="on_retry on_retry")
    client.hset(JOB, "webhooks", client.hget(JOB, "webhooks")[:-1])


@damage("runs", "callback-unreadable")
async def with_webhooks_that_are_none(store: Store, client: redis.Redis) -> None:
    await queued(store, webhooks="on_retry")
    client.hset(JOB, "webhooks", "?")


@damage("canceled", "no-retention a.0.on_canceled")
async def a_callback_that_has_finished_and_would_stay(store: Store, client: redis.Redis) -> None:
    await bring(store, client, "canceled", callbacks="on_canceled")
    (claimed,) = await take(store)
    await end(store, (claimed, Finished(b"p", 60_000)))
    client.persist(store.keys.job + claimed.record.id.encode())


@damage("canceled", "lane-not-served aioq:{default}:lane:callbacks")
async def a_callback_that_no_claim_looks_at(store: Store, client: redis.Redis) -> None:
    await bring(store, client, "canceled", callbacks="on_canceled")
    client.delete(store.keys.lanes)


@damage("canceled", "job-without-index a.0.on_canceled")
async def a_callback_that_is_in_no_lane(store: Store, client: redis.Redis) -> None:
    await bring(store, client, "canceled", callbacks="on_canceled")
    client.xdel(store.keys.callbacks, client.xrange(store.keys.callbacks)[0][0])


@damage("runs", "run-without-holder")
async def started_and_the_lane_is_gone(store: Store, client: redis.Redis) -> None:
    await _started_and_lost(store, client)
    client.delete(store.keys.front)


@damage("runs", "run-without-holder")
async def started_and_the_group_is_gone(store: Store, client: redis.Redis) -> None:
    await _started_and_lost(store, client)
    client.xgroup_destroy(store.keys.front, "workers")


@damage("runs", "run-without-holder", "consumer-without-lease w2")
async def started_and_pending_for_another(store: Store, client: redis.Redis) -> None:
    await _started_and_lost(store, client)
    client.xclaim(store.keys.front, "workers", "w2", 0, [entry_of(client)])


@damage("runs", "run-without-holder", "pending-without-entry front/*")
async def started_and_the_entry_was_deleted(store: Store, client: redis.Redis) -> None:
    await _started_and_lost(store, client)
    client.xdel(store.keys.front, entry_of(client))


@damage("started", "consumer-without-lease w1")
async def started_by_a_worker_without_a_lease(store: Store, client: redis.Redis) -> None:
    await start(store)
    client.delete(store.keys.leases)


@damage("started", "lease-too-long w1")
async def started_by_a_worker_that_never_dies(store: Store, client: redis.Redis) -> None:
    await start(store)
    client.zadd(store.keys.leases, {"w1": clock(client) + 30 * 86_400_000})


@damage("runs", "field-unreadable")
async def started_with_a_fence_that_is_none(store: Store, client: redis.Redis) -> None:
    await start(store)
    client.hset(JOB, "fence", "x")


@damage("started", "unwanted-retention")
async def started_and_about_to_vanish(store: Store, client: redis.Redis) -> None:
    await start(store)
    client.pexpire(JOB, LEASE)


# Fields and records


@damage("runs", "field-unreadable")
async def a_counter_above_the_fence(store: Store, client: redis.Redis) -> None:
    await queued(store)
    client.hset(JOB, "uncounted", 3)


@damage("runs", "field-unreadable")
async def a_history_of_more_runs_than_the_fence_counts(store: Store, client: redis.Redis) -> None:
    await queued(store)
    client.rpush(store.keys.attempts + b"a", "{}", "{}")
    client.hset(JOB, mapping={"fence": 1, "uncounted": 0})


@damage("runs", "field-unreadable")
async def several_fields_that_are_no_numbers(store: Store, client: redis.Redis) -> None:
    await queued(store)
    client.hset(JOB, mapping={"deliveries": "?", "failure_ttl": "1e3", "enqueued_at": "", "ttl": "x"})


@damage("failed", "record-unreadable")
async def a_state_that_there_is_not(store: Store, client: redis.Redis) -> None:
    await queued(store)
    client.hset(JOB, "status", "lost")


@damage("failed", "record-unreadable")
async def a_record_without_a_state(store: Store, client: redis.Redis) -> None:
    await queued(store)
    client.hdel(JOB, "status")


@damage("failed", "record-unreadable")
async def a_hash_that_is_no_job(store: Store, client: redis.Redis) -> None:
    await store.producing.register()
    client.hset(JOB, "other", "thing")


@damage("", "wrong-type aioq:{default}:job:a")
async def a_record_of_another_type(store: Store, client: redis.Redis) -> None:
    await store.producing.register()
    client.set(JOB, "x")


# Jobs that have ended

STATES = sorted(FINAL)


def _ended(state: str) -> Callable[[str, Callable[[Store, redis.Redis], Any], str], None]:
    def add(name: str, plant: Callable[[Store, redis.Redis], Any], *found: str) -> None:
        async def run(store: Store, client: redis.Redis) -> None:
            await bring(store, client, state)
            plant(store, client)

        run.__name__ = f"{state} {name}"
        damage(state, *found)(run)

    return add


def _both(store: Store, state: str) -> list[bytes]:
    registry: bytes = store.keys[state]
    return [registry, registry + b":until", registry + b":usual"]


def _twice(store: Store, client: redis.Redis, state: str) -> None:
    registry, until, usual = _both(store, state)
    client.zadd(registry, {"a": clock(client)})
    client.zadd(until, {"a": clock(client) + LEASE})
    client.zadd(usual, {"a": clock(client)})
    client.pexpire(registry, LEASE)
    client.pexpire(until, LEASE)
    client.pexpire(usual, 400 * 86_400_000)


for state in STATES:
    add = _ended(state)
    add(
        "and in no registry",
        lambda store, client, state=state: client.delete(*_both(store, state)),
        "job-without-index",
    )
    add("and for ever", lambda store, client: client.persist(JOB), "no-retention")
    add("and gone too early", lambda store, client: client.pexpire(JOB, 20_000), "retention-differs")
    add("at two moments", lambda store, client: client.hincrby(JOB, "ended_at", -5), "index-differs")
    add("at no moment", lambda store, client: client.hdel(JOB, "ended_at"), "field-unreadable")
    add("twice", lambda store, client, state=state: _twice(store, client, state), "job-in-two-indexes")


def _registry(state: str, *found: str) -> Callable[[Callable[[Store, redis.Redis], Any]], None]:
    def register(plant: Callable[[Store, redis.Redis], Any]) -> None:
        async def run(store: Store, client: redis.Redis) -> None:
            await bring(store, client, state)
            plant(store, client)

        run.__name__ = plant.__name__
        damage(state, *found)(run)

    return register


@_registry("finished", "index-without-job b")
def a_registry_with_a_job_that_is_gone(store: Store, client: redis.Redis) -> None:
    client.zadd(store.keys["finished"], {"b": clock(client)})
    client.zadd(store.keys["finished"] + b":until", {"b": clock(client) + LEASE})


@_registry("failed", "job-in-wrong-index")
def a_registry_with_a_job_of_another_state(store: Store, client: redis.Redis) -> None:
    client.zadd(store.keys["stopped"] + b":usual", {"a": clock(client)})
    client.pexpire(store.keys["stopped"] + b":usual", 400 * 86_400_000)


@_registry("failed", "fingerprint-differs")
def a_failed_job_without_a_fingerprint(store: Store, client: redis.Redis) -> None:
    client.hdel(JOB, "fingerprint")


@damage("runs", "tag-differs")
async def a_tag_that_has_lost_a_job(store: Store, client: redis.Redis) -> None:
    await queued(store, tags="x,y")
    client.zrem(store.keys.tag + b"x", "a")
    client.zadd(store.keys.tag + b"x", {"other": clock(client)})


@_registry("finished", "companion-alone b")
def a_companion_with_a_job_of_its_own(store: Store, client: redis.Redis) -> None:
    client.zadd(store.keys["finished"] + b":until", {"b": clock(client) + 10})


@_registry("finished", "retention-differs", "unwanted-retention aioq:{default}:finished")
def a_companion_that_is_gone(store: Store, client: redis.Redis) -> None:
    client.delete(store.keys["finished"] + b":until")


@_registry("finished", "no-retention aioq:{default}:finished", "no-retention aioq:{default}:finished:until")
def a_registry_that_would_stay(store: Store, client: redis.Redis) -> None:
    client.persist(store.keys["finished"])
    client.persist(store.keys["finished"] + b":until")


@_registry("finished", "retention-differs aioq:{default}:finished")
def a_registry_that_goes_too_early(store: Store, client: redis.Redis) -> None:
    client.pexpire(store.keys["finished"], 10_000)


@_registry("failed", "no-retention aioq:{default}:failed:usual")
def an_index_of_the_usual_that_would_stay(store: Store, client: redis.Redis) -> None:
    client.persist(store.keys["failed"] + b":usual")


# Groups


async def grouped(store: Store, *more: str) -> None:
    """The job `a`, a member of the group `g`."""
    ids = ["a", *more]
    await store.groups.open("g", "token", LEASE, {})
    await store.groups.add("g", "token", ids)
    await store.producing.enqueue_many([job(each, group=f"g/{place}") for place, each in enumerate(ids)])
    await store.groups.close("g", "token")


@damage("", "member-gone", "entry-without-job")
async def a_member_that_is_gone(store: Store, client: redis.Redis) -> None:
    await grouped(store)
    client.delete(JOB)


@damage("runs", "member-untold")
async def a_member_that_would_not_tell_its_group(store: Store, client: redis.Redis) -> None:
    await grouped(store)
    client.hdel(JOB, "after")


@damage("canceled", "member-untold")
async def a_member_of_whose_end_the_group_has_not_heard(store: Store, client: redis.Redis) -> None:
    await grouped(store, "b")
    await store.changes.cancel("a")
    client.setbit(store.keys.over + b"g", 0, 0)
    client.delete(store.keys.over + b"g/canceled")


@damage("canceled", "group-not-ended g")
async def a_group_that_would_not_end(store: Store, client: redis.Redis) -> None:
    await grouped(store)
    await store.changes.cancel("a")
    client.hdel(store.keys.group + b"g", "ended_at")

    for key in client.scan_iter("*:g*"):
        client.persist(key)


@damage("runs", "group-unlisted g")
async def a_group_that_is_not_listed(store: Store, client: redis.Redis) -> None:
    await grouped(store)
    client.delete(store.keys.groups)


@damage("runs", "unwanted-retention g")
async def a_group_that_would_go_before_its_end(store: Store, client: redis.Redis) -> None:
    await grouped(store)
    client.expire(store.keys.group + b"g", 100)


@damage("canceled", "no-retention g")
async def a_group_that_would_stay(store: Store, client: redis.Redis) -> None:
    await grouped(store)
    await store.changes.cancel("a")
    client.persist(store.keys.group + b"g")


@damage(
    "runs",
    "index-without-job g",
    "group-part-alone aioq:{default}:members:g",
    "group-part-alone aioq:{default}:over:x/failed",
    "group-part-alone aioq:{default}:sequel:x/complete",
)
async def parts_without_their_group(store: Store, client: redis.Redis) -> None:
    await grouped(store)
    client.delete(store.keys.group + b"g")
    client.setbit(store.keys.over + b"x/failed", 0, 1)
    client.hset(store.keys.sequel + b"x/complete", "id", "y")


@damage("runs", "wrong-type aioq:{default}:over:g")
async def what_is_no_group(store: Store, client: redis.Redis) -> None:
    await grouped(store)
    client.rpush(store.keys.over + b"g", "x")


# Dependencies


async def deferred(store: Store) -> None:
    await put(store, "before", func=b"tests.jobs.noop")
    await put(store, "a", parents="wbefore")


@damage("canceled", "dependency-gone", "index-without-job before", "entry-without-job before")
async def deferred_for_a_job_that_is_gone(store: Store, client: redis.Redis) -> None:
    await deferred(store)
    client.delete(store.keys.job + b"before")


@damage("runs", "dependency-untold")
async def deferred_for_a_job_that_does_not_know_it(store: Store, client: redis.Redis) -> None:
    await deferred(store)
    client.zrem(store.keys.dependents + b"before", "a")


@damage("runs", "dependency-untold")
async def deferred_for_a_job_that_has_ended(store: Store, client: redis.Redis) -> None:
    await deferred(store)
    client.hdel(store.keys.job + b"before", "after")
    client.delete(store.keys.dependents + b"before")
    (claimed,) = await take(store)
    assert await end(store, (claimed, Finished(b"pr", LEASE))) == ["ok"]


async def deferred_for_two(store: Store) -> None:
    """What it waits for is a list then."""
    await put(store, "before", "other", func=b"tests.jobs.noop")
    await put(store, "a", parents="wbefore,cother")


@damage("canceled", "dependency-gone", "index-without-job before", "entry-without-job before")
async def deferred_for_two_of_which_one_is_gone(store: Store, client: redis.Redis) -> None:
    await deferred_for_two(store)
    client.delete(store.keys.job + b"before")


@damage("runs", "dependency-untold")
async def deferred_for_two_of_which_one_does_not_know_it(store: Store, client: redis.Redis) -> None:
    await deferred_for_two(store)
    client.zrem(store.keys.dependents + b"other", "a")


async def deferred_with_a_deadline(store: Store) -> None:
    await put(store, "before", func=b"tests.jobs.noop")
    submission = job("a", parents="wbefore")
    submission.words["deferred_ttl"] = LEASE
    await store.producing.enqueue_many([submission])


@damage("runs", "index-differs")
async def deferred_with_another_deadline_in_the_index(store: Store, client: redis.Redis) -> None:
    await deferred_with_a_deadline(store)
    client.zadd(store.keys.deferred + b":until", {"a": 1})


@damage("runs", "index-differs")
async def deferred_with_a_deadline_that_is_lost(store: Store, client: redis.Redis) -> None:
    await deferred_with_a_deadline(store)
    client.delete(store.keys.deferred + b":until")
    client.hdel(store.keys.job + b"a", "expires_at")


@damage("runs", "lane-not-served aioq:{default}:deferred:until")
async def deferred_with_a_deadline_at_which_no_claim_looks(store: Store, client: redis.Redis) -> None:
    await deferred_with_a_deadline(store)
    client.delete(store.keys.lanes)


@damage("runs", "job-in-wrong-index")
async def queued_with_a_deadline_of_a_deferred_job(store: Store, client: redis.Redis) -> None:
    await queued(store)
    client.zadd(store.keys.deferred + b":until", {"a": clock(client) + LEASE})
    client.hset(store.keys.lanes, "follows", "1")


async def taker(store: Store) -> None:
    """A job that takes the result of one that has finished."""
    await put(store, "before", func=b"tests.jobs.noop")
    await put(store, "a", func=b"tests.jobs.noop", parents="Wbefore")
    (claimed,) = await take(store)
    assert await end(store, (claimed, Finished(b"pr", LEASE))) == ["ok"]


@damage("runs", "result-not-held")
async def a_result_that_is_not_kept_for_a_job(store: Store, client: redis.Redis) -> None:
    await taker(store)
    client.zrem(store.keys.dependents + b"before", "a")
    client.zadd(store.keys.dependents + b"before", {"other@other": 9})


@damage("runs", "result-not-held")
async def a_job_that_would_not_let_go_of_a_result(store: Store, client: redis.Redis) -> None:
    await taker(store)
    client.hdel(store.keys.job + b"a", "after")


@damage("runs", "result-held before")
async def a_result_that_is_kept_for_a_job_that_is_gone(store: Store, client: redis.Redis) -> None:
    await taker(store)
    client.zadd(store.keys.dependents + b"before", {"x": 9})


@damage("runs", "result-held before")
async def a_result_that_is_kept_for_a_job_that_has_ended(store: Store, client: redis.Redis) -> None:
    await taker(store)
    await put(store, "x", parents="Wbefore")
    await store.changes.cancel("x")
    client.zadd(store.keys.dependents + b"before", {"x": 9})


@damage("runs", "dependency-untold")
async def deferred_for_a_job_that_does_not_know_that_its_result_is_taken(
    store: Store, client: redis.Redis
) -> None:
    await put(store, "before", func=b"tests.jobs.noop")
    await put(store, "a", func=b"tests.jobs.noop", parents="Wbefore")
    client.zrem(store.keys.dependents + b"before", "a")


async def ended_by_another(store: Store) -> None:
    await put(store, "before", func=b"tests.jobs.noop")
    await put(store, "a", parents="cbefore")
    assert await store.changes.cancel("before") == ("ok", "")


@damage("canceled", "index-without-job before", "index-without-job before", "index-without-job before")
async def a_list_of_ended_dependents_whose_job_is_gone(store: Store, client: redis.Redis) -> None:
    await ended_by_another(store)
    client.delete(store.keys.job + b"before")
    client.persist(store.keys.ended_by + b"before")


@damage("canceled", "index-differs before")
async def a_list_of_ended_dependents_that_its_job_does_not_know_of(store: Store, client: redis.Redis) -> None:
    await ended_by_another(store)
    client.hdel(store.keys.job + b"before", "after")


@damage("canceled", "no-retention before")
async def a_list_of_ended_dependents_that_would_stay(store: Store, client: redis.Redis) -> None:
    await ended_by_another(store)
    client.persist(store.keys.ended_by + b"before")


async def waiting_for_a_child(store: Store) -> None:
    await put(store, "before", func=b"tests.jobs.noop")
    await put(store, "a", parents="wbefore")
    (claimed,) = await take(store)
    await put(store, "child", func=b"tests.jobs.noop", child=f"before/{claimed.fence}")
    assert await end(store, (claimed, Finished(b"pr", LEASE))) == ["ok"]


@damage("runs", "child-differs before")
async def a_child_that_has_finished_and_is_listed(store: Store, client: redis.Redis) -> None:
    await waiting_for_a_child(store)
    (claimed,) = await take(store)
    client.rename(store.keys.children + b"before", "aside")
    assert await end(store, (claimed, Finished(b"pr", LEASE))) == ["ok"]
    client.rename("aside", store.keys.children + b"before")


@damage("canceled", "child-differs before")
async def a_child_that_is_gone_and_is_listed(store: Store, client: redis.Redis) -> None:
    await waiting_for_a_child(store)
    (entry,) = client.xrange(store.keys.main)
    client.xdel(store.keys.main, entry[0])
    client.delete(store.keys.job + b"child")


@damage("runs", "index-without-job b")
async def an_index_of_deferred_jobs_with_one_that_is_gone(store: Store, client: redis.Redis) -> None:
    await queued(store)
    client.zadd(store.keys.deferred, {"b": clock(client)})


@damage("runs", "job-in-wrong-index")
async def an_index_of_deferred_jobs_with_one_that_is_queued(store: Store, client: redis.Redis) -> None:
    await queued(store)
    client.zadd(store.keys.deferred, {"a": clock(client)})


@damage("runs", "index-without-job")
async def queued_and_told_to_wait(store: Store, client: redis.Redis) -> None:
    await queued(store)
    client.sadd(store.keys.open + b"a", "b")


# Other rows and keys


@damage("runs", "entry-without-job b")
async def an_entry_without_a_job(store: Store, client: redis.Redis) -> None:
    await queued(store)
    client.xadd(store.keys.main, {"id": "b"})


@damage("finished", "entry-without-job")
async def an_entry_of_a_job_that_has_ended(store: Store, client: redis.Redis) -> None:
    await bring(store, client, "finished")
    client.xadd(store.keys.main, {"id": "a"})


@damage("runs", "index-without-job b")
async def a_schedule_of_nothing(store: Store, client: redis.Redis) -> None:
    await queued(store)
    client.zadd(store.keys.scheduled, {"b": clock(client) + LEASE})


@damage("runs", "index-without-job b", "index-without-job c")
async def deadlines_of_nothing(store: Store, client: redis.Redis) -> None:
    await queued(store)
    client.zadd(store.keys.expiring, {"b 1-1": clock(client) + LEASE, "c": clock(client) - 9 * LEASE * LEASE})


@damage("runs", "history-without-job b")
async def a_history_without_a_job(store: Store, client: redis.Redis) -> None:
    await queued(store)
    client.rpush(store.keys.attempts + b"b", "{}")


@damage("failed", "no-retention")
async def a_history_that_would_stay(store: Store, client: redis.Redis) -> None:
    await bring(store, client, "failed")
    client.rpush(store.keys.attempts + b"a", "{}")


@damage("runs", "wrong-type aioq:{default}:attempts:a")
async def a_history_of_another_type(store: Store, client: redis.Redis) -> None:
    await queued(store)
    client.set(store.keys.attempts + b"a", "x", px=LEASE)


@damage("runs", "consumer-left-over w9")
async def a_consumer_that_nobody_is(store: Store, client: redis.Redis) -> None:
    await queued(store)
    client.xgroup_create(store.keys.main, "workers", "0")
    client.xgroup_createconsumer(store.keys.main, "workers", "w9")


@damage("runs", "too-many-tokens aioq:{default}:wake")
async def a_heap_of_tokens(store: Store, client: redis.Redis) -> None:
    await queued(store)
    client.rpush(store.keys.wake, "1", "1")


@damage(
    "runs",
    "no-retention aioq:{default}:wake",
    "no-retention aioq:{default}:leases",
    "no-retention aioq:{default}:sessions",
)
async def keys_that_would_stay(store: Store, client: redis.Redis) -> None:
    await queued(store)
    await store.duty.join("w1", LEASE)

    for key in (store.keys.wake, store.keys.leases, store.keys.sessions):
        client.persist(key)


@damage("runs", "no-retention aioq:{default}:minutes:*", "no-retention aioq:{default}:hours:*")
async def pages_of_the_statistics_that_would_stay(store: Store, client: redis.Redis) -> None:
    await queued(store)
    await store.statistics.tally("w1", 1, "finished=1")

    for key in client.keys("aioq:{default}:minutes:*") + client.keys("aioq:{default}:hours:*"):
        client.persist(key)


@damage("runs", "unwanted-retention aioq:{default}:lane:main")
async def a_lane_that_would_go(store: Store, client: redis.Redis) -> None:
    await queued(store)
    client.pexpire(store.keys.main, LEASE)


@damage("runs", "queue-not-listed default")
async def a_queue_that_is_on_no_list(store: Store, client: redis.Redis) -> None:
    await queued(store)
    client.srem("aioq:queues", "default")


@pytest.fixture
def client(server: Server) -> Iterator[redis.Redis]:
    with redis.Redis.from_url(server.url) as client:
        yield client


@pytest.mark.parametrize("planted", DAMAGES, ids=lambda each: each.name)
async def test_damage_is_found_and_repaired(
    planted: Damage, queue: Queue, client: redis.Redis, burst: Callable[..., Awaitable[int]]
) -> None:
    store = queue.store
    await planted.plant(store, client)

    if client.type(JOB) == b"hash" and client.hget(JOB, "func") == b"m.f":
        client.hset(JOB, "func", "tests.jobs.noop")

    before = dump(client)
    found = await examine(queue)
    assert dump(client) == before  # a look writes nothing
    assert _matches({(each.kind, each.name) for each in found}, planted.found), found
    assert not any(each.repaired for each in found)
    assert all(each.queue == "default" and each.words for each in found)

    repaired = await examine(queue, repair=True)
    # What was wrong because of something else is right when that is.
    assert {each.kind for each in repaired} & {kind for kind, _ in planted.found}
    assert all(each.repaired for each in repaired), repaired
    await assert_sound(queue)

    await _ends(planted, queue, client, burst)
    await assert_sound(queue)


@pytest.mark.parametrize("goes", [1e300, float("inf"), 4e12 + 0.5])
@pytest.mark.parametrize("state", STATES)
async def test_a_retention_that_is_no_moment_is_repaired(
    state: str, goes: float, queue: Queue, client: redis.Redis
) -> None:
    await bring(queue.store, client, state)
    registry, until, usual = _both(queue.store, state)
    client.zadd(registry, {"a": int(client.hget(JOB, "ended_at") or 0)})
    client.zadd(until, {"a": goes})
    client.zrem(usual, "a")
    client.persist(JOB)
    assert all(each.repaired for each in await examine(queue, repair=True))
    await assert_sound(queue)
    await queue.delete()


async def test_a_worker_that_claims_and_does_not_beat_is_named(queue: Queue, client: redis.Redis) -> None:
    await start(queue.store)
    client.zadd(queue.store.keys.leases, {"w1": clock(client) - 30_000})
    (found,) = await examine(queue, repair=True)
    assert (found.kind, found.name, found.repaired) == ("claims-without-lease", "w1", False)
    assert 29 <= int(found.words.split("jobs ")[1].split()[0]) <= 40

    # It has died while it held a job: that is usual, and found by whoever comes next.
    client.zadd(queue.store.keys.leases, {"w1": clock(client) + 5_000})
    assert await examine(queue) == []


async def _ends(planted: Damage, queue: Queue, client: redis.Redis, burst: Callable[..., Awaitable[int]]) -> None:
    if planted.ends == "runs":
        await _expire_leases(queue.store, client)
        await burst()
        job = await queue.fetch_job("a")
        assert job is not None
        assert job.status is JobStatus.FINISHED
    elif planted.ends == "":
        assert await queue.fetch_job("a") is None
    else:
        job = await queue.fetch_job("a")
        assert job is not None
        assert job.status == planted.ends

    await queue.delete()
    client.delete(*client.keys("aioq:{default}:damaged:*") or ["none"])


async def _expire_leases(store: Store, client: redis.Redis) -> None:
    """The workers of the plant are dead, and their jobs are taken back."""
    for worker in ("w1", "w2"):
        if client.zscore(store.keys.leases, worker) is not None:
            client.zadd(store.keys.leases, {worker: 1})
            await store.duty.reclaim(worker)


def _matches(found: set[tuple[str, str]], expected: set[tuple[str, str]]) -> bool:
    """Whether all that is expected is there and nothing else; an expected name may end in *."""
    if len(found) != len(expected):
        return False

    return all(
        any(
            kind == other and (name == given or (given[-1:] == "*" and name.startswith(given[:-1])))
            for kind, name in found
        )
        for other, given in expected
    )


PLACES = [
    "main",
    "front",
    "suspects",
    "alone",
    "lanes",
    "wake",
    "scheduled",
    "expiring",
    "leases",
    "sessions",
    "retry_budget",
    *STATES,
]


@pytest.mark.parametrize("place", PLACES)
async def test_a_key_of_another_type_is_moved_aside_whole(
    place: str, queue: Queue, client: redis.Redis, burst: Callable[..., Awaitable[int]]
) -> None:
    await queue.enqueue(jobs.noop, job_id="a")
    await queue.enqueue_in(0.001, jobs.noop, job_id="b")
    key = queue.store.keys[place]
    client.delete(key)
    client.set(key, "precious")

    (found,) = await examine(queue)
    assert (found.kind, found.name) == ("wrong-type", key.decode())
    assert "it is a string" in found.words

    repaired = await examine(queue, repair=True)
    assert all(each.repaired for each in repaired)
    (kept,) = client.keys("aioq:{default}:damaged:*")
    assert client.get(kept) == b"precious"
    assert 0 < client.pttl(kept) <= 30 * 86_400_000
    await assert_sound(queue)
    await burst()
    assert (await queue.fetch_job("a")).is_finished
    assert (await queue.fetch_job("b")).is_finished


async def test_a_key_that_nobody_knows_is_reported_and_left(queue: Queue, client: redis.Redis) -> None:
    client.set("aioq:{default}:other", "x", px=LEASE)
    client.set("aioq:{default}:jobs", "x", px=LEASE)
    found = await examine(queue, repair=True)
    assert [(each.kind, each.name, each.repaired) for each in found] == [
        ("unknown-key", "aioq:{default}:jobs", False),
        ("unknown-key", "aioq:{default}:other", False),
    ]
    assert client.get("aioq:{default}:other") == b"x"


async def test_a_row_for_another_queue_that_nobody_carries_is_reported(
    queue: Queue, client: redis.Redis, burst: Callable[..., Awaitable[int]]
) -> None:
    other = Store(queue.connection, "other")
    await put(other, "b")
    await put(queue.store, "a", parents="wb@other", func=b"tests.jobs.noop")
    rows = client.zrange(queue.store.keys.outbox, 0, -1)
    assert await examine(queue, repair=True) == []
    client.zadd(queue.store.keys.outbox, {rows[0]: clock(client) - 2 * LEASE})
    (found,) = await examine(queue, repair=True)
    assert (found.kind, found.name, found.repaired) == ("row-not-carried", "depend b@other 0 a", False)
    assert found.words.endswith("stands there since 120 s")


async def test_a_repair_has_no_end_in_a_job_that_is_wrong_in_every_way(
    queue: Queue, client: redis.Redis, burst: Callable[..., Awaitable[int]]
) -> None:
    await queue.enqueue(jobs.noop, job_id="a", ttl=60)
    client.hset(JOB, mapping={"fence": "x", "deliveries": "x", "due_at": "x", "expires_at": "x"})
    client.delete(queue.store.keys.main, queue.store.keys.expiring)
    client.zadd(queue.store.keys.scheduled, {"a": 5})
    assert all(each.repaired for each in await examine(queue, repair=True))
    await assert_sound(queue)
    await burst()
    assert (await queue.fetch_job("a")).is_finished


async def test_what_a_repair_says_of_a_job_is_an_error_like_others(queue: Queue, client: redis.Redis) -> None:
    await start(queue.store)
    client.xgroup_delconsumer(queue.store.keys.front, "workers", "w1")
    await queue.enqueue(jobs.noop, job_id="b")
    client.hset(JOB.replace(b":a", b":b"), "status", "lost")
    await examine(queue, repair=True)
    run_again, given_up = await queue.fetch_many(["a", "b"])
    (earlier,) = await run_again.results()
    assert (earlier.error_type, earlier.error_message) == (
        "aioq.errors.AbandonedJobError",
        "no worker held this run any more",
    )
    assert given_up.error_type == "aioq.errors.DeserializationError"
    assert given_up.error_message.startswith("the record of this job was damaged, so its state could not be told")


async def test_what_a_run_says_after_its_job_was_put_back_is_refused(queue: Queue, client: redis.Redis) -> None:
    claimed = await start(queue.store)
    client.xgroup_delconsumer(queue.store.keys.front, "workers", "w1")
    await examine(queue, repair=True)
    again = await take(queue.store)
    assert [each.record.id for each in again] == ["a"]
    assert again[0].fence > claimed.fence
    assert again[0].record.attempt == 1  # no attempt was used up


async def test_a_job_that_is_kept_for_ever_is_sound(queue: Queue, burst: Callable[..., Awaitable[int]]) -> None:
    await queue.enqueue(jobs.noop, job_id="a", result_ttl=-1)
    await queue.enqueue(jobs.noop, job_id="b", result_ttl=60)
    await queue.enqueue(jobs.noop, job_id="c")
    await burst()
    await assert_sound(queue)
    await queue.delete()


async def test_a_job_that_was_to_be_kept_for_ever_still_is(
    queue: Queue, client: redis.Redis, burst: Callable[..., Awaitable[int]]
) -> None:
    await queue.enqueue(jobs.noop, job_id="a", result_ttl=-1)
    await burst()
    client.delete(*_both(queue.store, "finished"))
    (found,) = await examine(queue, repair=True)
    assert found.kind == "job-without-index"
    assert client.pttl(JOB) == -1
    await assert_sound(queue)
    await queue.delete()


async def test_entries_of_jobs_that_have_run_out_are_sound(queue: Queue, client: redis.Redis) -> None:
    """A record goes with its ttl by itself; its entry and deadline wait for the next claim."""
    await put(queue.store, "a", ttl_ms=1)
    hour = 3_600_000
    client.delete(JOB)
    (row,) = client.zrange(queue.store.keys.expiring, 0, -1)
    client.zadd(queue.store.keys.expiring, {row: clock(client) - hour})
    await assert_sound(queue)
    await queue.store.duty.join("w1", LEASE)
    assert (await claim(queue.store)).jobs == []
    await assert_sound(queue)
    assert fields(client, queue.store) == {}


def test_every_kind_is_planted_and_explained() -> None:
    folder = Path(aioq.store.__file__).parent / "lua"
    text = "\n".join(path.read_text() for path in folder.rglob("*.lua"))
    assert [kind for kind in KINDS if f"'{kind}'" not in text] == ["queue-not-listed"]
    planted = {kind for each in DAMAGES for kind, _ in each.found}
    # These are not repaired, and have tests of their own.
    assert set(KINDS) == planted | {"unknown-key", "claims-without-lease", "row-not-carried"}

    for kind in KINDS.values():
        assert all(part.endswith(".") for part in (kind.means, kind.repair))
