"""Children of a run: the dependents of its job wait for them, too."""

from __future__ import annotations

import pytest
import redis

from aioq.store import Store
from aioq.values.outcome import Failed, Finished, Retried
from tests.store.test_dependents import POLICIES, PREFIX, edges
from tests.store.test_requeue_dependents import requeue
from tests.store.tools import clock, end, job, passed, put, start, status, take


async def add(store: Store, *ids: str, parent: str = "a", fence: int = 1, **options: object) -> list[str]:
    """Children of a run; the verdicts."""
    submissions = [job(each, child=f"{parent}/{fence}", **options) for each in ids]

    return [answer.verdict for answer in await store.producing.enqueue_many(submissions, whole=False)]


async def finish(store: Store, *ids: str) -> None:
    """Queued jobs run and finish."""
    await over(store, Finished(b"p", 60_000), *ids)


async def fail(store: Store, *ids: str) -> None:
    await over(store, Failed("boom"), *ids)


async def over(store: Store, outcome: Finished | Failed, *ids: str) -> None:
    for claimed in await take(store, limit=len(ids)):
        assert claimed.record.id in ids
        assert await end(store, (claimed, outcome)) == ["ok"]


async def states(store: Store, ids: str) -> list[str | None]:
    return [await status(store, each) for each in ids]


@pytest.mark.parametrize("late", [False, True], ids=["before", "during"])
@pytest.mark.parametrize("is_child_first", [False, True], ids=["job-first", "child-first"])
async def test_a_dependent_runs_after_the_job_and_its_children(
    store: Store, client: redis.Redis, late: bool, is_child_first: bool
) -> None:
    claimed = await start(store)

    if not late:
        await put(store, *POLICIES, *(f"{each}2" for each in POLICIES), parents=edges("wait", "a"))

    assert await add(store, "c", "d") == ["stored"] * 2

    if late:
        for policy in POLICIES:
            await put(store, policy, f"{policy}2", parents=edges(policy, "a"))

    if is_child_first:
        await finish(store, "c", "d")
        assert {await status(store, each) for each in POLICIES} == {"deferred"}
        assert await end(store, (claimed, Finished(b"p", 60_000))) == ["ok"]
    else:
        assert await end(store, (claimed, Finished(b"p", 60_000))) == ["ok"]
        await finish(store, "c")
        assert {await status(store, each) for each in POLICIES} == {"deferred"}
        await finish(store, "d")

    assert {await status(store, each) for each in POLICIES} == {"queued"}
    assert client.keys(f"{PREFIX}children:*") == []


@pytest.mark.parametrize("how", ["fail", "cancel", "delete", "expire"])
async def test_a_child_that_does_not_finish_counts_as_the_job_would(
    store: Store, client: redis.Redis, how: str
) -> None:
    claimed = await start(store)

    for policy in POLICIES:
        await put(store, policy[0], parents=edges(policy, "a"))

    assert await add(store, "x", ttl_ms=50 if how == "expire" else 0) == ["stored"]
    assert await add(store, "y") == ["stored"]

    if how == "fail":
        await fail(store, "x")
    elif how == "cancel":
        assert await store.changes.cancel("x") == ("ok", "")
    elif how == "delete":
        assert await store.changes.delete(["x"]) == 1
    else:
        await passed(client, clock(client) + 60)
        (other,) = await take(store, limit=1)
        assert await end(store, (other, Finished(b"p", 60_000))) == ["ok"]

    assert await states(store, "cf") == ["canceled", "failed"], "at once, while the job still runs"
    assert await states(store, "wr") == ["deferred", "deferred"]
    assert b"job x, a child of job a, on which this one depends" in client.hget(f"{PREFIX}job:c", "reason")
    assert await end(store, (claimed, Finished(b"p", 60_000))) == ["ok"]

    if how != "expire":
        assert await states(store, "wr") == ["deferred", "deferred"]
        await finish(store, "y")

    assert await states(store, "wr") == ["canceled" if how == "delete" else "deferred", "queued"]


async def test_a_requeue_of_the_child_may_still_bring_the_finish(store: Store, client: redis.Redis) -> None:
    claimed = await start(store)
    await put(store, "w", parents=edges("wait", "a"))
    await put(store, "v", parents=edges("cancel", "a"))
    await add(store, "x")
    await end(store, (claimed, Finished(b"p", 60_000)))
    await fail(store, "x")
    assert await states(store, "wv") == ["deferred", "canceled"]
    assert client.pttl(f"{PREFIX}job:x") == -1
    client.delete(f"{PREFIX}job:a")  # its retention is over
    client.delete(f"{PREFIX}finished", f"{PREFIX}finished:until")
    assert await requeue(store, "x") == {"v": "deferred"}
    assert await states(store, "wv") == ["deferred", "deferred"]
    await finish(store, "x")
    assert await states(store, "wv") == ["queued", "queued"]


async def test_whoever_waits_for_a_finish_is_canceled_when_the_record_of_the_child_goes(
    store: Store, client: redis.Redis
) -> None:
    claimed = await start(store)
    await put(store, "w", parents=edges("wait", "a"))
    await add(store, "x", failure_ttl=b"50")
    await end(store, (claimed, Finished(b"p", 60_000)))
    await fail(store, "x")
    await passed(client, clock(client) + 60)
    assert await status(store, "w") == "deferred"
    await store.duty.sweep()
    assert await states(store, "wx") == ["canceled", None]
    assert client.keys(f"{PREFIX}children:*") == []


async def test_children_of_an_attempt_that_is_retried_still_count(store: Store, client: redis.Redis) -> None:
    claimed = await start(store)
    await put(store, "w", parents=edges("wait", "a"))
    await add(store, "x")
    assert await end(store, (claimed, Retried("boom", 0))) == ["ok"]
    claims = {each.record.id: each for each in await take(store)}
    assert await add(store, "y", fence=2) == ["stored"]
    assert await add(store, "z", fence=1) == ["stale"]
    assert await end(store, (claims["a"], Finished(b"p", 60_000))) == ["ok"]
    await finish(store, "y")
    assert await status(store, "w") == "deferred"
    assert await end(store, (claims["x"], Finished(b"p", 60_000))) == ["ok"]
    assert await status(store, "w") == "queued"


async def test_only_the_run_that_holds_the_claim_adds_children(store: Store, client: redis.Redis) -> None:
    claimed = await start(store)
    assert await add(store, "x", fence=2) == ["stale"]
    assert await add(store, "x", parent="nobody") == ["gone"]
    assert await add(store, "x") == ["stored"]
    assert await end(store, (claimed, Finished(b"p", 60_000))) == ["ok"]
    assert await add(store, "x") == ["stored"], "the same call, sent twice"
    assert await add(store, "y") == ["stale"]
    assert await states(store, "xy") == ["queued", None]


async def test_a_job_that_comes_after_both_goes_by_what_is_left_of_them(store: Store, client: redis.Redis) -> None:
    claimed = await start(store)
    await add(store, "x", "y")
    await end(store, (claimed, Finished(b"p", 60_000)))
    await put(store, "v", parents=edges("cancel", "a"))
    assert await status(store, "v") == "deferred"
    await fail(store, "x")
    await put(store, "w", parents=edges("cancel", "a"))
    await put(store, "u", parents=edges("run", "a"))
    assert await states(store, "uvw") == ["deferred", "canceled", "canceled"]
    await finish(store, "y")
    assert await status(store, "u") == "queued"


async def test_a_job_that_is_requeued_has_its_children_still(store: Store, client: redis.Redis) -> None:
    claimed = await start(store)
    await put(store, "w", parents=edges("wait", "a"))
    await add(store, "x", "y")
    await end(store, (claimed, Failed("boom")))
    await store.changes.delete(["y"])
    assert await status(store, "w") == "deferred"
    await requeue(store, "a")
    claims = {each.record.id: each for each in await take(store)}
    assert await end(store, (claims["a"], Finished(b"p", 60_000))) == ["ok"]
    assert await status(store, "w") == "deferred"
    assert await end(store, (claims["x"], Finished(b"p", 60_000))) == ["ok"]
    assert await status(store, "w") == "queued"


async def test_many_dependents_of_a_job_with_children_are_released_once(store: Store, client: redis.Redis) -> None:
    claimed = await start(store)
    ids = [f"d{number:03}" for number in range(500)]
    await put(store, *ids, parents=edges("wait", "a"))
    await add(store, "x")
    await end(store, (claimed, Finished(b"p", 60_000)))
    assert {await status(store, each) for each in ids} == {"deferred"}
    await finish(store, "x")
    found: list[str] = []

    while len(found) < 500:
        found += [each.record.id for each in await take(store, limit=100)]

    assert found == ids


async def test_a_member_may_have_callbacks_too(store: Store, client: redis.Redis) -> None:
    submission = job("m", on_success=b"tests.jobs.noop 2\n{}")
    submission.words.update(callbacks="on_success", group="g/0")
    await store.producing.enqueue_many([submission])
    assert client.hget(f"{PREFIX}job:m", "after").split() == [b"on_success", b"group=g/0"]


async def test_the_result_of_the_job_is_kept_for_whoever_takes_it_after_the_children(
    store: Store, client: redis.Redis
) -> None:
    claimed = await start(store)
    await put(store, "t", parents="Ca")
    await add(store, "x")
    assert await end(store, (claimed, Finished(b"p", 0))) == ["ok"]
    assert client.hget(f"{PREFIX}job:a", "result") == b"p"
    assert client.pttl(f"{PREFIX}job:a") == -1
    await fail(store, "x")
    assert await status(store, "t") == "canceled"
    assert client.exists(f"{PREFIX}dependents:a") == 0
    assert await requeue(store, "x") == {"t": "deferred"}
    assert client.zscore(f"{PREFIX}dependents:a", "t") == 2.75
    assert client.pttl(f"{PREFIX}job:a") == -1
    await finish(store, "x")
    assert await status(store, "t") == "queued"
    assert client.exists(f"{PREFIX}dependents:x") == 0, "of the child it takes nothing"
    assert client.pttl(f"{PREFIX}job:a") == -1
    await finish(store, "t")
    assert client.pttl(f"{PREFIX}job:a") > 0


async def test_a_sweep_leaves_the_result_that_is_taken_after_the_children(
    store: Store, client: redis.Redis
) -> None:
    claimed = await start(store)
    await put(store, "t", parents="Wa")
    await add(store, "x")
    assert await end(store, (claimed, Finished(b"p", 50))) == ["ok"]
    await passed(client, clock(client) + 60)
    await store.duty.sweep()
    assert client.hget(f"{PREFIX}job:a", "result") == b"p"
    await finish(store, "x")
    assert await status(store, "t") == "queued"
