from __future__ import annotations

import pytest
import redis

from aioq.store import Store
from aioq.values.outcome import Finished, Retried
from tests.store.tools import bring, end, fields, put, start, take, unchanged

EVERY_BYTE = bytes(range(256))


async def test_values_are_written_and_removed_one_by_one(store: Store, client: redis.Redis) -> None:
    await put(store, "a", **{"meta.keep": b"1", "meta.change": b"1", "meta.remove": b"1"})
    changes = [b"meta.change", EVERY_BYTE, b"meta.new", b""]

    assert await store.changes.save_meta("a", None, changes, [b"meta.remove", b"meta.never"]) == "ok"
    stored = {name: value for name, value in fields(client, store).items() if name.startswith(b"meta.")}
    assert stored == {b"meta.keep": b"1", b"meta.change": EVERY_BYTE, b"meta.new": b""}


async def test_nothing_to_change_changes_nothing(store: Store, client: redis.Redis) -> None:
    await put(store, "a")

    with unchanged(client):
        assert await store.changes.save_meta("a", None, [], []) == "ok"


async def test_the_same_call_twice_is_harmless(
    store: Store, client: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("secrets.token_hex", lambda _: "call")
    claimed = await start(store)
    await store.changes.save_meta("a", claimed.fence, [b"meta.a", b"1"], [b"meta.b"])

    with unchanged(client):
        assert await store.changes.save_meta("a", claimed.fence, [b"meta.a", b"1"], [b"meta.b"]) == "ok"


async def test_a_run_writes_only_with_its_fence(store: Store, client: redis.Redis) -> None:
    claimed = await start(store)
    await end(store, (claimed, Retried("boom", 0)))

    with unchanged(client):
        assert await store.changes.save_meta("a", claimed.fence, [b"meta.a", b"1"], []) == "stale"

    (newer,) = await take(store)

    with unchanged(client):
        assert await store.changes.save_meta("a", claimed.fence, [b"meta.a", b"1"], []) == "stale"

    await end(store, (newer, Finished(b"p", 60_000)))

    with unchanged(client):
        assert await store.changes.save_meta("a", newer.fence, [b"meta.a", b"1"], []) == "stale"


async def test_a_job_that_is_gone_is_told_as_that(store: Store, client: redis.Redis) -> None:
    with unchanged(client):
        assert await store.changes.save_meta("a", None, [b"meta.a", b"1"], []) == "gone"


@pytest.mark.parametrize("state", ["queued", "failed", "expired"])
async def test_from_outside_any_job_can_be_annotated_and_goes_when_it_went(
    state: str, store: Store, client: redis.Redis
) -> None:
    await bring(store, client, state)
    before = client.pexpiretime(store.keys.job + b"a")

    assert await store.changes.save_meta("a", None, [b"meta.a", b"1"], []) == "ok"
    assert client.pexpiretime(store.keys.job + b"a") == before


async def test_many_values_in_one_call(store: Store, client: redis.Redis) -> None:
    await put(store, "a")
    changes = [part for number in range(9_000) for part in (b"meta.%d" % number, b"1")]

    assert await store.changes.save_meta("a", None, changes, []) == "ok"
    assert len(fields(client, store)) > 9_000
