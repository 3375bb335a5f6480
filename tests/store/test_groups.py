"""Groups: they end with their last member, whatever ends it, once; then their job is made."""

from __future__ import annotations

import pytest
import redis

from aioq.store import Store
from aioq.values.group import FILL_MS, HOWS, GroupProgress, SequelKind
from aioq.values.outcome import Failed, Finished, Interrupted
from tests.store.tools import (
    LEASE,
    bring,
    claim,
    clock,
    end,
    fields,
    job,
    listening,
    passed,
    put,
    status,
    take,
    unchanged,
)

KEPT = 60_000
SEQUELS: dict[SequelKind, dict[bytes, bytes | str]] = {
    "complete": {b"func": b"m.complete", b"id": "complete"},
    "failure": {b"func": b"m.failure", b"id": "failure"},
}

#: How a member comes to each end, and what the group counts then.
ENDS = {
    "finished": "finished",
    "failed": "failed",
    "canceled": "canceled",
    "stopped": "stopped",
    "expired": "expired",
    "deleted": "gone",
    "lost": "failed",
}


async def fill(store: Store, *ids: str, name: str = "g", kept_ms: int = KEPT, **options: int) -> None:
    """A group with these members, which are in the queue."""
    assert await store.groups.open(name, "token", kept_ms, SEQUELS)
    first = await store.groups.add(name, "token", ids)
    assert first == 0
    await store.producing.enqueue_many(
        [job(each, group=f"{name}/{place}", **options) for place, each in enumerate(ids)]
    )
    assert await store.groups.close(name, "token")


async def progress(store: Store, name: str = "g") -> GroupProgress:
    found = await store.groups.load(name)
    assert found is not None

    return found.progress


async def come_to(store: Store, client: redis.Redis, how: str, job_id: str) -> None:
    """The only queued job ends in this way."""
    if how == "deleted":
        assert await store.changes.delete([job_id]) == 1
    elif how == "canceled":
        assert await store.changes.cancel(job_id) == ("ok", "")
    elif how == "expired":
        await passed(client, clock(client) + 60)
        await take(store, limit=1)
    elif how == "lost":
        client.hset(store.keys.job + job_id.encode(), "deaths", b"1 x\n1 y\n1 z\n")
        (claimed,) = await take(store)
        await end(store, (claimed, Interrupted(begun=True)))  # from here on it waits in quarantine
        await take(store)
        client.zadd(store.keys.leases, {"w1": 1})
        await store.duty.reclaim("w1")
    else:
        (claimed,) = await take(store, limit=1)
        assert claimed.record.id == job_id

        if how == "stopped":
            assert await store.changes.stop(job_id) == ("ok", "")
        else:
            await end(store, (claimed, Finished(b"pr", KEPT) if how == "finished" else Failed("boom")))


@pytest.mark.parametrize("how", ENDS)
async def test_every_kind_of_end_ends_the_group_once(how: str, store: Store, client: redis.Redis) -> None:
    await fill(store, "a", ttl_ms=50 if how == "expired" else 0)
    before = await progress(store)
    assert (before.total, before.open, before.has_ended) == (1, 1, False)

    with listening(client, "channel") as messages:
        assert await store.groups.wait("channel", ["g"]) == [-1]
        await come_to(store, client, how, "a")
        assert messages() == [b"g ended -\n"]

    after = await progress(store)
    assert (after.total, after.ended, after.open, after.has_ended) == (1, 1, 0, True)
    assert getattr(after, ENDS[how]) == 1

    made, other = ("complete", "failure") if how == "finished" else ("failure", "complete")
    assert await status(store, made) == "queued"
    assert await status(store, other) is None
    record = fields(client, store, made)
    assert (record[b"func"], record[b"group"]) == (b"m." + made.encode(), b"g")
    assert await store.groups.wait("channel", ["g"]) == [{b"status": b"ended"}]


@pytest.mark.parametrize("how", ENDS)
async def test_an_end_that_is_told_twice_counts_once(how: str, store: Store, client: redis.Redis) -> None:
    await fill(store, "b", "a", ttl_ms=50 if how == "expired" else 0)
    await store.changes.cancel("b")
    await come_to(store, client, how, "a")

    if how == "deleted":
        assert await store.groups.close("g", "token", [1])
    else:
        assert await store.changes.delete(["a"]) == 1  # it ends once more

    after = await progress(store)
    assert after.ended == after.total == 2
    assert getattr(after, ENDS[how]) == 1 + (how == "canceled")


async def test_the_job_of_a_group_is_made_with_its_last_member(store: Store, client: redis.Redis) -> None:
    await fill(store, "a", "b", "c")
    claims = await take(store)

    for claimed in claims:
        assert await status(store, "complete") is None
        assert not (await progress(store)).has_ended
        await end(store, (claimed, Finished(b"pr", KEPT)))

    assert await progress(store) == GroupProgress(3, 3, 0, 0, 0, 0, 0, has_ended=True)
    (claimed,) = await take(store)
    assert (claimed.record.id, claimed.record.group) == ("complete", "g")
    assert await end(store, (claimed, Finished(b"pr", KEPT))) == ["ok"]


async def test_members_that_end_together(store: Store) -> None:
    await fill(store, *(f"j{number}" for number in range(300)))
    claims = await take(store, limit=300)
    await end(store, *((each, Finished(b"pr", KEPT)) for each in claims))
    assert await progress(store) == GroupProgress(300, 300, 0, 0, 0, 0, 0, has_ended=True)
    assert len(await take(store, limit=10)) == 1


async def test_a_group_does_not_end_before_it_is_closed(store: Store) -> None:
    assert await store.groups.open("g", "token", KEPT, SEQUELS)
    assert await store.groups.add("g", "token", ["a"]) == 0
    await put(store, "a", group="g/0")
    await store.changes.cancel("a")
    assert not (await progress(store)).has_ended
    assert await store.groups.add("g", "token", ["b"]) == 1
    await put(store, "b", group="g/1")
    await store.changes.cancel("b")
    assert await status(store, "failure") is None
    await store.groups.close("g", "token")
    assert (await progress(store)).has_ended
    assert await status(store, "failure") == "queued"


async def test_an_empty_group_ends_when_it_is_closed(store: Store) -> None:
    await fill(store)
    assert await progress(store) == GroupProgress(0, 0, 0, 0, 0, 0, 0, has_ended=True)
    assert await status(store, "complete") == "queued"


async def test_who_adds_members_waits_for_nobody_else(store: Store) -> None:
    await fill(store, "a")
    assert await store.groups.add("g", "another", ["b"]) == 1
    await store.changes.cancel("a")
    await store.groups.close("g", "token")
    assert not (await progress(store)).has_ended
    await store.groups.close("g", "another", [1])
    assert await progress(store) == GroupProgress(2, 0, 0, 1, 0, 0, 1, has_ended=True)


async def test_members_that_nobody_goes_on_to_add_are_named_by_a_sweep(store: Store, client: redis.Redis) -> None:
    assert await store.groups.open("g", "token", KEPT, {})
    await store.groups.add("g", "token", ["a", "b"])
    await put(store, "a", group="g/0")
    overdue: list[str] = []
    await store.duty.sweep(overdue)
    assert overdue == []
    client.hset(store.keys.group + b"g", "fill.token", clock(client) - 1)
    client.zadd(store.keys.groups, {"g": 1 - clock(client)})
    await store.duty.sweep(overdue)
    assert overdue == ["g"]
    await store.groups.close("g", "", [1])
    assert await progress(store) == GroupProgress(2, 0, 0, 0, 0, 0, 1, has_ended=False)
    assert client.zscore(store.keys.groups, "g") == float("inf")


async def test_who_is_not_late_is_not_closed_for_another(store: Store) -> None:
    assert await store.groups.open("g", "token", KEPT, {})
    await store.groups.close("g", "")
    assert not (await progress(store)).has_ended


async def test_a_requeue_opens_the_group_again(store: Store, client: redis.Redis) -> None:
    await fill(store, "a", "b")
    claims = await take(store)
    await end(store, *((each, Failed("boom")) for each in claims))
    assert (await progress(store)).failed == 2
    assert client.pttl(store.keys.members + b"g") > 0
    (claimed,) = await take(store)
    assert claimed.record.id == "failure"
    await end(store, (claimed, Finished(b"pr", KEPT)))

    await store.changes.requeue(["a", "b"], at_front=False, reset=True)
    assert await progress(store) == GroupProgress(2, 0, 0, 0, 0, 0, 0, has_ended=False)
    assert client.pttl(store.keys.members + b"g") == -1

    claims = await take(store)
    await end(store, (claims[0], Finished(b"pr", KEPT)), (claims[1], Failed("again")))
    assert await progress(store) == GroupProgress(2, 1, 1, 0, 0, 0, 0, has_ended=True)
    (again,) = await take(store)
    assert again.record.id == "failure"
    assert await end(store, (again._replace(fence=claimed.fence), Finished(b"pr", KEPT))) == ["stale"]
    assert await end(store, (again, Finished(b"pr", KEPT))) == ["ok"]


async def test_a_job_of_a_group_that_waits_is_not_made_twice(store: Store) -> None:
    await fill(store, "a")
    await store.changes.cancel("a")
    await store.changes.requeue(["a"], at_front=True, reset=True)
    await store.changes.cancel("a")
    assert [each.record.id for each in await take(store)] == ["failure"]


async def test_a_retention_of_nothing_ends_it_too(store: Store, client: redis.Redis) -> None:
    await fill(store, "a", "b")
    claims = await take(store)
    await end(store, (claims[0], Finished(b"pr", 1)), (claims[1], Finished(b"pr", 0)))
    assert (await progress(store)).finished == 2


async def test_a_member_with_a_ttl_does_not_go_unseen(store: Store, client: redis.Redis) -> None:
    await fill(store, "a", ttl_ms=1)
    assert client.pttl(store.keys.job + b"a") == -1
    await passed(client, clock(client) + 2)
    client.zadd(store.keys.expiring, {"a " + fields(client, store)[b"entry"].decode(): 1})
    await put(store, "x", ttl_ms=LEASE)  # nobody claims; an enqueue sees to what is late for long
    assert (await progress(store)).expired == 1
    assert await status(store, "a") in ("expired", None)


async def test_a_call_that_comes_twice_is_done_once(store: Store, client: redis.Redis) -> None:
    await fill(store, "a")
    await store.producing.enqueue_many([job("a", group="g/0")])
    assert await store.groups.open("g", "token", KEPT, SEQUELS)
    assert await store.groups.close("g", "token")
    assert client.lrange(store.keys.members + b"g", 0, -1) == [b"a"]
    assert not await store.groups.open("g", "other", KEPT, {})
    assert await store.groups.add("nobody", "token", ["a"]) is None
    assert not await store.groups.close("nobody", "token")
    assert await store.groups.load("nobody") is None


async def test_more_ends_are_told(store: Store, client: redis.Redis) -> None:
    await fill(store, "a", "b")

    with listening(client, "channel") as messages:
        assert await store.groups.wait("channel", ["g/0", "g", "nobody"]) == [-1, -1, {}]
        await store.changes.cancel("a")
        assert messages() == [b"g/0 changed -\n"]
        assert await store.groups.wait("channel", ["g/0", "g/1"]) == [{b"status": b"changed"}, -1]
        await store.changes.cancel("b")
        assert sorted(messages()[0].splitlines()) == [b"g ended -", b"g/1 changed -"]


async def test_reads_write_nothing(store: Store, client: redis.Redis) -> None:
    await fill(store, "a", "b")
    await store.changes.cancel("a")

    with unchanged(client):
        await progress(store)
        assert await store.groups.members("g") == ["a", "b"]
        assert await store.groups.members("g", 1, 1) == ["b"]
        assert await store.groups.over("g") == await store.groups.over("g", "canceled") == b"\x80"
        assert await store.groups.over("g", "failed") == b""
        assert await store.groups.names() == ["g"]


async def test_nothing_is_left_of_a_group_in_the_end(store: Store, client: redis.Redis) -> None:
    await fill(store, "a", kept_ms=1)
    await store.changes.cancel("a")
    await passed(client, clock(client) + 2)
    await store.duty.sweep()
    assert client.exists(store.keys.groups) == 0
    assert [key for key in client.scan_iter() if key.endswith(b":g")] == []


async def test_a_group_may_be_kept_for_ever(store: Store, client: redis.Redis) -> None:
    await fill(store, "a", kept_ms=-1)
    await store.changes.cancel("a")
    assert client.pttl(store.keys.group + b"g") == -1


@pytest.mark.parametrize("state", ["scheduled", "deferred", "queued", "started"])
async def test_a_member_may_be_in_any_state(state: str, store: Store, client: redis.Redis) -> None:
    assert await store.groups.open("g", "token", KEPT, SEQUELS)
    await store.groups.add("g", "token", ["a"])
    await bring(store, client, state, group="g/0")
    await store.groups.close("g", "token")
    assert await store.changes.cancel("a") == ("ok", "")
    assert await progress(store) == GroupProgress(1, 0, 0, 1, 0, 0, 0, has_ended=True)


async def test_a_place_that_the_group_does_not_have_changes_nothing(store: Store, client: redis.Redis) -> None:
    await fill(store, "a")
    await put(store, "b", group="g/1")
    await put(store, "c", group="g/4000000000")
    await store.changes.cancel("b")
    await store.changes.cancel("c")
    assert await progress(store) == GroupProgress(1, 0, 0, 0, 0, 0, 0, has_ended=False)
    assert client.exists(store.keys.over + b"g") == 0
    await store.changes.delete(["b", "c"])


async def test_the_retention_of_a_member_is_its_own(store: Store, client: redis.Redis) -> None:
    await fill(store, "a")
    (claimed,) = (await claim(store)).jobs or await take(store)
    await end(store, (claimed, Finished(b"pr", KEPT)))
    assert 0 < client.pttl(store.keys.job + b"a") <= KEPT
    assert fields(client, store)[b"after"] == b"group=g/0"


def test_the_script_knows_the_kinds_of_ends(client: redis.Redis) -> None:
    from tests.store.test_scripts import LIBRARY

    assert "local HOWS = {" + ", ".join(f"'{how}'" for how in HOWS) + "}" in LIBRARY["more/groups"]
    assert FILL_MS < KEPT * 10
