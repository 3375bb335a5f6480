"""A job is requeued, and the dependents that its end had ended come back with it."""

from __future__ import annotations

import redis

from aioq.store import Store
from aioq.store.outbox import TAKER
from aioq.store.relay import relay
from aioq.values.outcome import Finished
from tests.store.test_dependents import PREFIX, come_to, edges
from tests.store.tools import end, put, status, take


async def requeue(store: Store, *ids: str) -> dict[str, str]:
    verdicts, states = await store.changes.requeue_with_dependents(ids, at_front=False, reset=True)
    assert verdicts == ["ok"] * len(ids)

    return states


async def test_those_that_an_end_has_ended_wait_again(store: Store, client: redis.Redis) -> None:
    await put(store, "a")
    await put(store, "b", parents=edges("cancel", "a"))
    await put(store, "c", parents=edges("fail", "a"))
    await put(store, "d", parents=edges("wait", "a"))
    await put(store, "e", parents=edges("cancel", "b"))
    await come_to(store, client, "failed", "a")
    assert [await status(store, each) for each in "abcde"] == [
        "failed",
        "canceled",
        "failed",
        "deferred",
        "canceled",
    ]
    assert await requeue(store, "a") == {"b": "deferred", "c": "deferred", "e": "deferred"}
    assert client.hmget(f"{PREFIX}job:b", "reason", "waited_for", "error") == [None] * 3
    assert client.exists(f"{PREFIX}ended_by:a", f"{PREFIX}ended_by:a/back") == 0
    await come_to(store, client, "finished", "a")
    assert [await status(store, each) for each in "bcde"] == ["queued", "queued", "queued", "deferred"]


async def test_a_plain_requeue_leaves_them_and_forgets_who_they_were(store: Store, client: redis.Redis) -> None:
    await put(store, "a")
    await put(store, "b", parents=edges("cancel", "a"))
    await come_to(store, client, "failed", "a")
    assert 0 < client.pexpiretime(f"{PREFIX}ended_by:a") <= client.pexpiretime(f"{PREFIX}job:a")
    assert await store.changes.requeue(["a"], at_front=False, reset=True) == ["ok"]
    assert client.exists(f"{PREFIX}ended_by:a") == client.hexists(f"{PREFIX}job:a", "after") == 0
    await come_to(store, client, "canceled", "a")
    assert await requeue(store, "a") == {}
    assert await status(store, "b") == "canceled"


async def test_others_are_left_alone_and_told(store: Store, client: redis.Redis) -> None:
    await put(store, "a")
    await put(store, *"bcdef", parents=edges("cancel", "a"))
    await put(store, "g", parents=edges("fail", "a"))
    await come_to(store, client, "failed", "a")
    await store.changes.delete(["c"])
    await store.changes.requeue(["d", "e"], at_front=False, reset=True)
    await come_to(store, client, "finished", "d")
    await store.changes.requeue(["f"], at_front=False, reset=True)
    await store.changes.cancel("f")
    await store.changes.cancel("g")
    found = {"b": "deferred", "c": "gone", "d": "finished", "e": "queued", "f": "canceled", "g": "canceled"}
    assert await requeue(store, "a") == found


async def test_edges_that_were_decided_stay_so_and_the_others_are_open_again(
    store: Store, client: redis.Redis
) -> None:
    await put(store, "a", "b", "c", "d")
    await put(store, "x", parents=f"{edges('cancel', 'a')},{edges('fail', *'bcd')}")
    await come_to(store, client, "finished", "a")
    await come_to(store, client, "failed", "b")
    assert await status(store, "x") == "failed"
    await come_to(store, client, "finished", "c")
    assert await requeue(store, "b") == {"x": "deferred"}
    assert client.smembers(f"{PREFIX}open:x") == {b"b", b"d"}
    await come_to(store, client, "finished", "d")
    await come_to(store, client, "finished", "b")
    assert await status(store, "x") == "queued"


async def test_one_that_another_end_ends_comes_back_with_that_one(store: Store, client: redis.Redis) -> None:
    await put(store, "a", "b")
    await put(store, "x", parents=edges("cancel", "a", "b"))
    await come_to(store, client, "failed", "a")
    await come_to(store, client, "failed", "b")
    assert await requeue(store, "a") == {"x": "canceled"}
    assert client.hget(f"{PREFIX}job:x", "reason") == b"job b, on which this one depends, is failed"
    assert await requeue(store, "b") == {"x": "deferred"}
    await come_to(store, client, "finished", "a")
    await come_to(store, client, "finished", "b")
    assert await status(store, "x") == "queued"


async def test_what_one_script_does_not_come_to_the_next_claims_do(store: Store, client: redis.Redis) -> None:
    children = [f"c{number:03}" for number in range(500)]
    await put(store, "a")
    await put(store, *children, parents=edges("cancel", "a"))
    assert await store.changes.cancel("a") == ("ok", "")
    # Of the 500, 200 have been decided: what the end would mean to the others is taken back with it.
    assert len(await requeue(store, "a")) == 200
    assert client.zrange(f"{PREFIX}undecided", 0, -1) == [b"a again"]
    assert {await status(store, each) for each in children} == {"deferred"}
    await come_to(store, client, "failed", "a")

    while client.exists(f"{PREFIX}undecided"):
        await take(store, limit=1)

    assert {await status(store, each) for each in children} == {"canceled"}
    assert len(await requeue(store, "a")) == 200

    while client.exists(f"{PREFIX}undecided"):
        await take(store, limit=1)

    assert {await status(store, each) for each in children} == {"deferred"}
    assert client.exists(f"{PREFIX}ended_by:a", f"{PREFIX}ended_by:a/back") == 0


async def test_an_end_that_comes_before_all_are_back_is_the_end_for_them_too(
    store: Store, client: redis.Redis
) -> None:
    children = [f"c{number:03}" for number in range(300)]
    await put(store, "a")
    await put(store, *children, parents=edges("cancel", "a"))
    assert await store.changes.cancel("a") == ("ok", "")

    while client.exists(f"{PREFIX}undecided"):
        await take(store, limit=1)

    assert len(await requeue(store, "a")) == 200
    assert client.zcard(f"{PREFIX}ended_by:a/back") == 100
    assert await store.changes.cancel("a") == ("ok", "")

    while client.exists(f"{PREFIX}undecided"):
        await take(store, limit=1)

    assert {await status(store, each) for each in children} == {"canceled"}
    assert client.zcard(f"{PREFIX}ended_by:a") == 300


async def test_what_is_known_of_them_goes_with_the_record(store: Store, client: redis.Redis) -> None:
    await put(store, "a")
    await put(store, "b", parents=edges("cancel", "a"))
    await come_to(store, client, "failed", "a")
    assert await store.changes.cancel("a") == ("ok", "")  # a failed job; its end is another one now
    assert 0 < client.pexpiretime(f"{PREFIX}ended_by:a") <= client.pexpiretime(f"{PREFIX}job:a")
    assert await requeue(store, "a") == {"b": "deferred"}
    await come_to(store, client, "failed", "a")
    await store.changes.delete(["a"])
    assert client.keys(f"{PREFIX}ended_by:*") == []


async def test_the_same_call_sent_twice_gets_the_same_answer(store: Store, client: redis.Redis) -> None:
    await put(store, "a")
    await put(store, "b", parents=edges("cancel", "a"))
    await come_to(store, client, "failed", "a")
    sent = store.connection.shared  # any word will do for the call
    words = {"only": "", "lane": "", "reset": 1, "with_dependents": 1, "expired_ttl": 1, "repeat_ms": 60_000}
    call = store.changes._calls
    replies = [await call.call("requeue", call=f"w{id(sent)}", ids=["a"], **words) for _ in range(2)]
    assert replies[0] == replies[1] == [b"ok", [b"ok"], [b"b", b"deferred"]]


async def test_one_that_is_ended_again_and_not_kept_goes(store: Store, client: redis.Redis) -> None:
    await put(store, "a", "b")
    await put(store, "x", parents=f"{edges('cancel', 'a')},{edges('fail', 'b')}", failure_ttl=b"0")
    await come_to(store, client, "canceled", "a")
    await come_to(store, client, "failed", "b")
    assert await requeue(store, "a") == {"x": "gone"}


async def test_one_that_takes_results_takes_them_again(store: Store, client: redis.Redis) -> None:
    await put(store, "b", "a")
    await come_to(store, client, "finished", "b")
    await put(store, "x", parents="Ca,Cb")
    await come_to(store, client, "failed", "a")
    assert client.exists(f"{PREFIX}dependents:a", f"{PREFIX}dependents:b") == 0, "it has let go of both"
    assert client.pttl(f"{PREFIX}job:a") > 0 and client.pttl(f"{PREFIX}job:b") > 0
    assert await requeue(store, "a") == {"x": "deferred"}
    assert client.zscore(f"{PREFIX}dependents:a", "x") == 2.5
    assert client.zscore(f"{PREFIX}dependents:b", "x") == TAKER
    assert client.pttl(f"{PREFIX}job:b") == -1
    await come_to(store, client, "finished", "a")
    assert await status(store, "x") == "queued"
    assert client.zscore(f"{PREFIX}dependents:a", "x") == TAKER
    await come_to(store, client, "finished", "x")
    assert client.exists(f"{PREFIX}dependents:a", f"{PREFIX}dependents:b") == 0
    assert client.pttl(f"{PREFIX}job:a") > 0 and client.pttl(f"{PREFIX}job:b") > 0


async def test_one_of_another_queue_takes_results_again_in_its_next_edition(
    store: Store, client: redis.Redis
) -> None:
    other = Store(store.connection, "other")
    await put(store, "a")
    await put(other, "x", parents=f"Ca@{store.queue}")
    key = f"{PREFIX}dependents:a"

    async def carry() -> None:
        for each in (other, store, other, store):
            await relay(each)

    await carry()
    assert client.zrange(key, 0, -1, withscores=True) == [(b"x@other", 2.5)]
    await come_to(store, client, "failed", "a")
    await carry()
    assert await status(other, "x") == "canceled"
    assert client.exists(key) == 0
    assert await requeue(store, "a") == {"x@other": ""}
    await carry()
    assert client.zrange(key, 0, -1, withscores=True) == [(b"x#1@other", 2.5)]
    await store.outbox.let_go([("a", "x@other")])  # a row that is late
    await come_to(store, client, "finished", "a")
    await carry()
    assert await status(other, "x") == "queued"
    assert client.zrange(key, 0, -1, withscores=True) == [(b"x#1@other", TAKER)]
    (claimed,) = await take(other)
    assert await end(other, (claimed, Finished(b"p", 60_000))) == ["ok"]
    await carry()
    assert client.exists(key) == 0
    assert client.pttl(f"{PREFIX}job:a") > 0
