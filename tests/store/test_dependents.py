"""Jobs that depend on others: what each end means to them, by their policy."""

from __future__ import annotations

import pytest
import redis

from aioq.store import Store
from aioq.values.errors import NoSuchJobError
from aioq.values.outcome import Failed, Finished
from tests.store.tools import clock, end, job, passed, put, status, take

PREFIX = "aioq:{default}:"
POLICIES = ("wait", "run", "cancel", "fail")

#: What becomes of a dependent, by what has become of the job that it depends on.
TABLE = {
    ("finished", "wait"): "queued",
    ("finished", "run"): "queued",
    ("finished", "cancel"): "queued",
    ("finished", "fail"): "queued",
    **{
        (ended, policy): becomes
        for ended in ("failed", "canceled", "stopped", "expired")
        for policy, becomes in zip(POLICIES, ("deferred", "queued", "canceled", "failed"), strict=True)
    },
    **{("forgotten", policy): "queued" for policy in POLICIES},
    ("deleted", "wait"): "canceled",
    ("deleted", "run"): "queued",
    ("deleted", "cancel"): "canceled",
    ("deleted", "fail"): "failed",
}


def edges(policy: str, *parents: str) -> str:
    return ",".join(policy[0] + parent for parent in parents)


async def come_to(store: Store, client: redis.Redis, state: str, job_id: str) -> None:
    """A queued job ends in this way."""
    if state == "deleted":
        assert await store.changes.delete([job_id]) == 1
    elif state == "canceled":
        assert await store.changes.cancel(job_id) == ("ok", "")
    elif state == "expired":
        await passed(client, clock(client) + 60)
        await take(store)
    else:
        (claimed,) = await take(store, limit=1)
        assert claimed.record.id == job_id

        if state == "stopped":
            assert await store.changes.stop(job_id) == ("ok", "")
        else:
            kept_ms = 60_000 if state == "finished" else 0
            await end(store, (claimed, Failed("boom") if state == "failed" else Finished(b"pr", kept_ms)))


@pytest.mark.parametrize("early", [True, False], ids=["before", "after"])
@pytest.mark.parametrize(("ended", "policy"), TABLE)
async def test_an_end_decides_its_dependents(
    store: Store, client: redis.Redis, ended: str, policy: str, early: bool
) -> None:
    """early: the dependent was enqueued before the end, and not after it."""
    if ended == "deleted" and not early:
        pytest.skip("what is gone cannot be depended on")

    await put(store, "a", ttl_ms=50 if ended == "expired" else 0)

    if early:
        await put(store, "b", parents=edges(policy, "a"))
        assert await status(store, "b") == "deferred"

    await come_to(store, client, ended, "a")

    if not early:
        await put(store, "b", parents=edges(policy, "a"))

    assert await status(store, "b") == TABLE[ended, policy]


async def test_a_record_stays_with_its_history(store: Store, client: redis.Redis) -> None:
    await put(store, "a")
    await come_to(store, client, "failed", "a")
    await store.changes.requeue(["a"], at_front=False, reset=True)
    await come_to(store, client, "failed", "a")
    assert client.pttl(f"{PREFIX}attempts:a") > 0
    await put(store, "b", parents=edges("wait", "a"))
    assert client.pttl(f"{PREFIX}job:a") == client.pttl(f"{PREFIX}attempts:a") == -1


async def test_it_runs_when_the_last_one_has_finished(store: Store, client: redis.Redis) -> None:
    await put(store, "a", "b", "c")
    await put(store, "d", parents=edges("wait", "a", "b", "c"))

    for job_id in "abc":
        assert await status(store, "d") == "deferred"
        await come_to(store, client, "finished", job_id)

    (claimed,) = await take(store)
    assert claimed.record.id == "d"


async def test_who_waits_for_a_finish_gets_it_from_a_requeue(store: Store, client: redis.Redis) -> None:
    await put(store, "a")
    await put(store, "b", parents=edges("wait", "a"))
    await come_to(store, client, "failed", "a")
    assert client.pttl(f"{PREFIX}job:a") == -1
    await store.changes.requeue(["a"], at_front=False, reset=True)
    await come_to(store, client, "finished", "a")
    assert await status(store, "b") == "queued"
    assert client.exists(f"{PREFIX}dependents:a", f"{PREFIX}open:b") == 0


async def test_who_waits_for_a_finish_is_canceled_when_the_record_goes(store: Store, client: redis.Redis) -> None:
    await put(store, "a", failure_ttl=b"50")
    await put(store, "b", parents=edges("wait", "a"))
    await put(store, "c", parents=edges("wait", "b"))
    await come_to(store, client, "failed", "a")
    await passed(client, clock(client) + 60)
    assert await status(store, "b") == "deferred"
    await store.duty.sweep()
    assert [await status(store, each) for each in "abc"] == [None, "canceled", "deferred"]


async def test_ends_go_on_to_the_dependents_of_dependents(store: Store, client: redis.Redis) -> None:
    await put(store, "a0")

    for number in range(1, 500):
        await put(store, f"a{number}", parents=edges("cancel", f"a{number - 1}"))

    await come_to(store, client, "failed", "a0")

    while await take(store) or await status(store, "a499") == "deferred":
        pass

    assert {await status(store, f"a{number}") for number in range(1, 500)} == {"canceled"}


async def test_many_dependents_are_released_by_the_claims_that_follow_each_once(
    store: Store, client: redis.Redis
) -> None:
    await put(store, "a")
    children = [f"c{number:04}" for number in range(1000)]
    await put(store, *children, parents=edges("wait", "a"))
    await come_to(store, client, "finished", "a")
    claimed: list[str] = []

    while len(claimed) < 1000:
        claimed += [each.record.id for each in await take(store, limit=100)]

    assert claimed == children
    assert client.exists(f"{PREFIX}deferred", f"{PREFIX}dependents:a", f"{PREFIX}expiring") == 0


async def test_a_dependent_that_was_canceled_or_deleted_is_not_released(store: Store, client: redis.Redis) -> None:
    await put(store, "a")
    await put(store, "b", "c", parents=edges("wait", "a"))
    assert await store.changes.cancel("b") == ("ok", "")
    assert await store.changes.delete(["c"]) == 1
    await come_to(store, client, "finished", "a")
    assert [await status(store, each) for each in "bc"] == ["canceled", None]
    assert client.exists(f"{PREFIX}deferred", f"{PREFIX}open:b", f"{PREFIX}open:c") == 0


async def test_an_unknown_one_is_refused_and_nothing_is_written(store: Store, client: redis.Redis) -> None:
    await put(store, "a")
    before = client.dbsize()

    with pytest.raises(NoSuchJobError, match="job c is to depend on job nobody"):
        await store.producing.enqueue_many([job("b"), job("c", parents=edges("wait", "a", "nobody"))])

    with pytest.raises(NoSuchJobError, match="job d is to depend on job d"):
        await put(store, "d", parents=edges("wait", "d"))

    assert client.dbsize() == before


async def test_a_call_may_have_jobs_that_depend_on_earlier_ones(store: Store, client: redis.Redis) -> None:
    await store.producing.enqueue_many(
        [job("a"), job("b", parents=edges("wait", "a")), job("c", parents=edges("run", "a", "b"))]
    )
    assert [await status(store, each) for each in "abc"] == ["queued", "deferred", "deferred"]


async def test_it_waits_for_its_own_moment_too(store: Store, client: redis.Redis) -> None:
    await put(store, "a")
    await put(store, "b", parents=edges("wait", "a"), due="+60000")
    await come_to(store, client, "finished", "a")
    assert await status(store, "b") == "scheduled"


async def test_it_goes_to_its_lane(store: Store, client: redis.Redis) -> None:
    await put(store, "a")
    await put(store, "b", parents=edges("wait", "a"), front=True)
    await come_to(store, client, "finished", "a")
    await put(store, "x")
    assert [each.record.id for each in await take(store)] == ["b", "x"]
