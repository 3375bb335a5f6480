"""Quarantine: jobs that were on workers when these died keep small company, and fail only when they were alone."""

from __future__ import annotations

import pytest
import redis

from aioq.store import Store
from aioq.values.claim import Claims
from aioq.values.failure import unpack_failure
from aioq.values.outcome import Failed, Finished, Interrupted, Retried
from aioq.values.record import JobRecord
from aioq.values.result import earlier_result
from aioq.values.states import JobStatus
from tests.store.tools import (
    LEASE,
    claim,
    clock,
    end,
    entries,
    fields,
    job,
    listening,
    passed,
    pending,
    put,
    start,
    status,
)


async def lose(store: Store, client: redis.Redis, worker: str = "w1") -> tuple[list[str], list[str]]:
    """The worker dies, and another one takes its jobs back: which go back, and which fail."""
    client.zadd(store.keys.leases, {worker: clock(client) - 1})
    more, back, failed = await store.duty.reclaim(worker)
    assert not more

    return back, failed


async def work(store: Store, worker: str = "w1", limit: int = 10, **told: int) -> Claims:
    """A claim of a worker that has joined before it."""
    await store.duty.join(worker, LEASE)

    return await claim(store, worker, limit, **told)


def ids(claims: Claims) -> list[str]:
    return [each.record.id for each in claims.jobs]


async def after_deaths(store: Store, client: redis.Redis, count: int, *names: str) -> None:
    """Jobs that were on so many workers when these died, beside each other."""
    await put(store, *names)

    for number in range(count):
        assert sorted(ids(await work(store, f"dead{number}", 1000))) == sorted(names)
        assert sorted((await lose(store, client, f"dead{number}"))[0]) == sorted(names)


async def test_after_its_first_death_a_job_runs_again_at_once_beside_others(
    store: Store, client: redis.Redis
) -> None:
    await after_deaths(store, client, 1, "a")
    await put(store, "b")
    found = await work(store)

    assert (ids(found), found.is_reserved, found.suspects) == (["a", "b"], False, 0)
    assert not client.exists(store.keys.lanes, store.keys.suspects, store.keys.alone)


async def test_a_job_with_one_slot_for_it_fails_at_the_third_death(store: Store, client: redis.Redis) -> None:
    await put(store, "a")

    for number in (1, 2, 3):
        (claimed,) = (await work(store, f"w{number}", 1, slots=1)).jobs
        assert claimed.record.attempt == 1
        back, failed = await lose(store, client, f"w{number}")
        assert (back, failed) == ((["a"], []) if number < 3 else ([], ["a"]))

    stored = fields(client, store)
    assert (stored[b"status"], stored[b"deliveries"]) == (b"failed", b"3")
    failure = unpack_failure(stored[b"error"].decode())
    assert failure.text.startswith("AbandonedJobError: the workers that ran this job were lost 3 times")
    assert failure.text.endswith("The workers: w1 (alone), w2 (alone), w3 (alone)")
    assert (failure.type, failure.line) == ("aioq.errors.AbandonedJobError", f"aioq.errors.{failure.text}")
    assert (await store.reads.ids(JobStatus.FAILED))[0] == ["a"]
    assert [earlier_result(JobRecord("a", {}), each).type for each in await store.reads.attempts("a")] == [
        "abandoned",
        "abandoned",
    ]
    assert client.pttl(store.keys.attempts + b"a") > 0


async def test_a_job_beside_others_fails_at_the_fourth_death_and_the_others_never(
    store: Store, client: redis.Redis
) -> None:
    """The worst case: whatever runs beside the job dies with it, each time."""
    others = [f"o{number}" for number in range(30)]
    await put(store, "bad", *others)
    deaths, bad_deaths = 0, 0
    done: set[str] = set()
    failed: list[str] = []

    while len(done) < len(others) or not failed:
        worker = f"w{deaths}"
        found = await work(store, worker, 100)
        assert found.jobs

        if "bad" in ids(found):
            deaths += 1
            bad_deaths += 1
            failed += (await lose(store, client, worker))[1]
        else:
            assert set(await end(store, *((each, Finished(b"p", LEASE)) for each in found.jobs))) == {"ok"}
            done |= set(ids(found))

    assert (failed, bad_deaths, done) == (["bad"], 4, set(others))
    assert (
        b"w0 (30 other jobs), w1 (30 other jobs), w2 (9 other jobs), w3 (alone)"
        in fields(client, store, "bad")[b"error"]
    )

    for record in await store.reads.load(others):
        assert record is not None
        assert (record.status, record.attempt) == ("finished", 1)


async def test_a_worker_gets_at_most_ten_jobs_that_were_on_two_dead_workers(
    store: Store, client: redis.Redis
) -> None:
    names = [f"j{number:02}" for number in range(25)]
    await after_deaths(store, client, 2, *names)
    await put(store, "new")
    assert entries(client, store.keys.suspects) == [name.encode() for name in names]

    first = await work(store, "w1", 100)
    assert (ids(first), first.is_reserved, first.suspects) == ([*names[:10], "new"], False, 10)
    again = await claim(store, "w1", 100, held=11, suspects=10)
    assert ids(again) == []
    assert 0 <= again.due_in_ms <= 1000  # the worker looks again by itself
    assert ids(await work(store, "w2", 100)) == names[10:20]

    assert await end(store, *((each, Finished(b"p", LEASE)) for each in first.jobs[:3])) == ["ok"] * 3
    assert ids(await claim(store, "w1", 100, held=8, suspects=7)) == names[20:23]
    assert (await store.reads.ids(JobStatus.QUEUED))[0] == names[23:]
    assert (await store.reads.count()).queued == 2


@pytest.mark.parametrize(("told", "expected"), [({"held": 47}, 3), ({"held": 60}, 0), ({"suspects": 6}, 4)])
async def test_such_jobs_are_not_claimed_ahead_and_those_of_other_queues_count(
    told: dict[str, int], expected: int, store: Store, client: redis.Redis
) -> None:
    await after_deaths(store, client, 2, *"abcdefghijkl")

    assert len((await work(store, "w1", 50, **told)).jobs) == expected


async def test_a_job_that_must_run_alone_is_not_given_to_a_worker_that_holds_anything(
    store: Store, client: redis.Redis
) -> None:
    await after_deaths(store, client, 3, "a")
    await put(store, "b", "c")
    busy = await work(store, "busy", 10, held=1)
    assert (ids(busy), busy.is_reserved) == (["b", "c"], False)

    idle = await work(store, "idle")
    assert (ids(idle), idle.is_reserved, idle.suspects) == (["a"], True, 1)
    assert fields(client, store)[b"entry"].startswith(b"alone/")


async def test_beside_a_job_that_must_run_alone_nothing_is_claimed(store: Store, client: redis.Redis) -> None:
    await after_deaths(store, client, 3, "a", "z")
    await put(store, "b")
    (alone,) = (await work(store)).jobs

    client.delete(store.keys.wake)
    again = await claim(store, held=1)
    assert (again.jobs, again.is_reserved) == ([], True)
    assert 0 <= again.due_in_ms <= 1000
    assert client.llen(store.keys.wake) == 1  # another worker can take the rest

    assert await end(store, (alone, Finished(b"p", LEASE))) == ["ok"]
    assert ids(await claim(store)) == ["z"]


async def test_a_busy_worker_gets_empty_for_it_only_after_a_moment_and_one_at_a_time(
    store: Store, client: redis.Redis
) -> None:
    await after_deaths(store, client, 3, "a")
    await put(store, *(f"b{number}" for number in range(10)))
    assert not (await work(store, "w1", 1, held=5)).is_reserved
    assert not (await work(store, "w2", 1, held=5)).is_reserved
    await passed(client, clock(client) + 1000)

    drains = await work(store, "w1", 1, held=5)
    assert (drains.jobs, drains.is_reserved) == ([], True)
    assert not (await work(store, "w2", 1, held=5)).is_reserved
    assert (await work(store, "w1", 1, held=1)).is_reserved
    assert ids(await work(store, "w1", 1, held=0)) == ["a"]


async def test_a_worker_goes_on_when_another_one_has_taken_the_job(store: Store, client: redis.Redis) -> None:
    await after_deaths(store, client, 3, "a")
    await work(store, "w1", 1, held=5)
    await passed(client, clock(client) + 1000)
    assert (await work(store, "w1", 1, held=5)).is_reserved
    assert ids(await work(store, "w2", 1)) == ["a"]
    await put(store, "b")

    assert ids(await work(store, "w1", 1, held=4)) == ["b"]


async def test_another_worker_gets_empty_when_the_first_one_does_not_claim_any_more(
    store: Store, client: redis.Redis
) -> None:
    await after_deaths(store, client, 3, "a")
    await work(store, "w1", 1, held=5)
    await passed(client, clock(client) + 1000)
    assert (await work(store, "w1", 1, held=5)).is_reserved
    client.hset(store.keys.lanes, "drains_at", clock(client) - 5000)

    assert (await work(store, "w2", 1, held=5)).is_reserved


@pytest.mark.parametrize("deaths", [2, 3])
@pytest.mark.parametrize("way", ["give_back", "retry", "later", "requeue", "resync"])
async def test_a_job_stays_in_quarantine_on_every_way_back(
    way: str, deaths: int, store: Store, client: redis.Redis
) -> None:
    await after_deaths(store, client, deaths, "a")
    lane = store.keys.suspects if deaths == 2 else store.keys.alone
    (claimed,) = (await work(store)).jobs

    if way == "requeue":
        assert await end(store, (claimed, Failed("boom"))) == ["ok"]
        assert await store.changes.requeue(["a"], at_front=True, reset=False) == ["ok"]
    elif way == "resync":
        assert (await store.duty.reclaim("w1", []))[1] == ["a"]
    else:
        outcome = {"give_back": Interrupted(begun=True), "retry": Retried("x", 0), "later": Retried("x", 1)}[way]
        assert await end(store, (claimed, outcome)) == ["ok"]

    if way == "later":
        await passed(client, clock(client) + 2)
        assert ids(await claim(store)) == ["a"]  # promoted by this same claim
        assert len(pending(client, lane)) == 1
    else:
        assert entries(client, lane) == [b"a"]


async def test_a_shutdown_never_fails_a_job_not_even_one_that_ran_alone(store: Store, client: redis.Redis) -> None:
    await after_deaths(store, client, 3, "a")

    for _ in range(3):
        (claimed,) = (await work(store)).jobs
        assert await end(store, (claimed, Interrupted(begun=True))) == ["ok"]

    assert await status(store) == "queued"
    assert fields(client, store)[b"deaths"].count(b"\n") == 3


async def test_shutdowns_are_no_deaths(store: Store, client: redis.Redis) -> None:
    claimed = await start(store)

    for _ in range(5):
        await end(store, (claimed, Interrupted(begun=True)))
        (claimed,) = (await work(store, limit=1, slots=1)).jobs

    assert await lose(store, client) == (["a"], [])
    assert fields(client, store)[b"deliveries"] == b"6"
    assert entries(client, store.keys.front) == [b"a"]


async def test_a_requeue_that_counts_anew_takes_a_job_out_of_quarantine(store: Store, client: redis.Redis) -> None:
    await after_deaths(store, client, 3, "a")
    (claimed,) = (await work(store)).jobs
    await end(store, (claimed, Failed("boom")))
    assert await store.changes.requeue(["a"], at_front=False, reset=True) == ["ok"]

    assert entries(client, store.keys.main) == [b"a"]
    await work(store, "w9", 1, slots=1)
    assert await lose(store, client, "w9") == (["a"], [])


@pytest.mark.parametrize("verb", ["cancel", "delete", "stop"])
@pytest.mark.parametrize("runs", [False, True])
async def test_a_job_in_quarantine_can_be_ended_by_a_user(
    verb: str, runs: bool, store: Store, client: redis.Redis
) -> None:
    await after_deaths(store, client, 3, "a")

    if runs:
        await work(store)

    if verb == "stop" and not runs:
        assert await store.changes.stop("a") == ("refused", "queued")
        await store.changes.cancel("a")
    else:
        await (store.changes.delete(["a"]) if verb == "delete" else getattr(store.changes, verb)("a"))

    assert client.xlen(store.keys.alone) == 0
    assert ids(await work(store)) == []
    assert not client.exists(store.keys.lanes, store.keys.suspects, store.keys.alone)


async def test_a_job_in_quarantine_expires(store: Store, client: redis.Redis) -> None:
    await store.producing.enqueue(job("a", ttl_ms=60_000, deaths=b"1 x\n1 y\n"))
    await work(store)
    await lose(store, client)
    row = b"a " + fields(client, store)[b"entry"]
    client.zadd(store.keys.expiring, {row: clock(client) - 1})
    client.hset(store.keys.job + b"a", "expires_at", clock(client) - 1)

    assert ids(await work(store)) == []
    assert await status(store) == "expired"
    assert not client.exists(store.keys.lanes, store.keys.alone)


async def test_a_job_without_retention_is_told_and_deleted(store: Store, client: redis.Redis) -> None:
    await put(store, "a", failure_ttl=b"0", deaths=b"3 x\n3 y\n3 z\n")
    await work(store)
    await lose(store, client)
    await work(store)
    await store.producing.wait("one", ["a"])

    with listening(client, "one") as messages:
        assert await lose(store, client) == ([], ["a"])
        (message,) = messages()

    assert message.startswith(b"a failed ")
    assert b"AbandonedJobError" in message
    assert await status(store) is None
    assert not client.exists(store.keys.attempts + b"a")


async def test_the_last_worker_leaves_nothing_of_the_lanes(store: Store, client: redis.Redis) -> None:
    await after_deaths(store, client, 2, "a")
    (claimed,) = (await work(store)).jobs
    await end(store, (claimed, Finished(b"p", LEASE)))
    assert await store.duty.leave("w1")

    assert not client.exists(store.keys.lanes, store.keys.suspects, store.keys.main)


async def test_a_worker_that_holds_a_job_of_quarantine_keeps_its_lease(store: Store, client: redis.Redis) -> None:
    await after_deaths(store, client, 3, "a")
    await work(store)

    assert not await store.duty.leave("w1")
    client.delete(store.keys.leases)  # lost with the server's data
    await store.duty.join("w2", LEASE)
    assert client.zscore(store.keys.leases, "w1") is not None
    assert (await store.reads.ids(JobStatus.STARTED))[0] == ["a"]
    assert (await store.reads.count())["started"] == 1


async def test_every_idle_worker_is_told_while_such_jobs_wait(store: Store, client: redis.Redis) -> None:
    await after_deaths(store, client, 3, "a", "b", "c")
    client.delete(store.keys.wake)
    await work(store, "w1", 1)
    assert client.llen(store.keys.wake) == 1  # there are more
    client.delete(store.keys.wake)
    await work(store, "w1", 1, held=1)
    assert client.llen(store.keys.wake) == 0  # nothing has changed since
    client.hset(store.keys.lanes, "announced_at", clock(client) - 1000)
    await work(store, "w1", 1, held=1)
    assert client.llen(store.keys.wake) == 1


async def test_a_name_of_a_worker_may_be_anything(store: Store, client: redis.Redis) -> None:
    await put(store, "a")
    name = "w\n1 x\n\ud83d\ude00".encode("utf-16", "surrogatepass").decode("utf-16")
    await work(store, name)
    await lose(store, client, name)

    assert fields(client, store)[b"deaths"].count(b"\n") == 1
    assert entries(client, store.keys.front) == [b"a"]


# A group that was destroyed while jobs ran


@pytest.mark.parametrize("front", [False, True])
async def test_jobs_that_run_stay_with_their_worker_when_the_group_is_made_anew(
    front: bool, store: Store, client: redis.Redis
) -> None:
    await put(store, "a", "b", front=front)
    mine = await work(store, "w1")
    lane = store.keys.front if front else store.keys.main
    client.xgroup_destroy(lane, "workers")
    await put(store, "c", front=front)

    found = await work(store, "w2")
    assert ids(found) == ["c"]
    assert sorted(pending(client, lane).values()) == [b"w1", b"w1", b"w2"]
    assert await end(store, (mine.jobs[0], Finished(b"p", LEASE))) == ["ok"]
    assert await lose(store, client, "w1") == (["b"], [])
    assert ids(await claim(store, "w2")) == ["b"]


async def test_jobs_of_a_worker_that_died_before_the_group_was_made_anew_come_back(
    store: Store, client: redis.Redis
) -> None:
    await put(store, "a", "b")
    await work(store, "w1")
    client.xgroup_destroy(store.keys.main, "workers")
    assert await lose(store, client, "w1") == ([], [])
    assert ids(await work(store, "w2")) == []
    assert client.zscore(store.keys.leases, "w1") > clock(client)

    assert await lose(store, client, "w1") == (["a", "b"], [])


async def test_a_worker_may_meet_its_own_jobs_again(store: Store, client: redis.Redis) -> None:
    await put(store, "a")
    (claimed,) = (await work(store, "w1")).jobs
    client.xgroup_destroy(store.keys.main, "workers")
    assert ids(await work(store, "w1", held=1)) == []

    assert list(pending(client, store.keys.main).values()) == [b"w1"]
    assert await end(store, (claimed, Finished(b"p", LEASE))) == ["ok"]
    assert client.xlen(store.keys.main) == 0


async def test_a_group_that_was_set_back_takes_no_job_from_its_worker(store: Store, client: redis.Redis) -> None:
    await put(store, "a")
    (claimed,) = (await work(store, "w1")).jobs
    client.xgroup_setid(store.keys.main, "workers", "0")
    assert ids(await work(store, "w2")) == []

    assert list(pending(client, store.keys.main).values()) == [b"w1"]
    assert await end(store, (claimed, Finished(b"p", LEASE))) == ["ok"]


@pytest.mark.parametrize("deaths", [2, 3])
async def test_the_groups_of_quarantine_can_be_destroyed_too(
    deaths: int, store: Store, client: redis.Redis
) -> None:
    await after_deaths(store, client, deaths, "a", "b")
    lane = store.keys.suspects if deaths == 2 else store.keys.alone
    await work(store, "w1", 10 if deaths == 2 else 1)
    client.xgroup_destroy(lane, "workers")
    await work(store, "w2")
    back, failed = await lose(store, client, "w1")

    assert len(back + failed) == (2 if deaths == 2 else 1)
