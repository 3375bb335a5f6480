"""The audit of a queue: who has done what."""

from __future__ import annotations

import json

import pytest
import redis

from aioq import InvalidInput, acting_as
from aioq.store import Connection, Directory, Store
from aioq.store.acting import act_of
from aioq.values.audit import ENTRIES_MS, MOST_ENTRIES, MOST_SUBJECTS
from tests.store.tools import LEASE, put, start


async def told(store: Store) -> list[tuple[str, tuple[str, ...], int]]:
    return [(each.action, each.subjects, each.count) for each in await store.audit.rows()]


async def test_what_changes_something_leaves_a_row_and_what_is_refused_none(
    store: Store, client: redis.Redis
) -> None:
    await put(store, "a", "b", "c", "d")
    await store.duty.join("w1", LEASE)
    await start(store)
    await store.changes.cancel("b")  # nobody has said who does it
    assert client.exists(store.keys.audit) == 0

    with acting_as("ann", reason="why not", source="web"):
        assert (await store.changes.cancel("b"))[0] == "already"
        assert (await store.changes.stop("c"))[0] == "refused"
        assert (await store.changes.cancel("x"))[0] == "gone"
        assert await store.changes.delete(["x"]) == 0
        assert await store.changes.requeue(["c", "x"], at_front=False, reset=True) == ["queued", "gone"]
        assert not await store.failures.mute("0" * 12, 5, "ann")
        assert client.exists(store.keys.audit) == 0
        assert (await store.changes.cancel("c"))[0] == "ok"
        assert (await store.changes.stop("a"))[0] == "ok"
        await store.changes.requeue(["x", "a", "d", "b"], at_front=False, reset=True)
        assert await store.changes.delete(["x", "d"]) == 1

    await store.changes.delete(["a"])
    assert await told(store) == [
        ("delete", ("d",), 1),
        ("requeue", ("a", "b"), 2),
        ("stop", ("a",), 1),
        ("cancel", ("c",), 1),
    ]
    entries = await store.audit.rows(2)
    assert {(each.by, each.source, each.reason) for each in entries} == {("ann", "web", "why not")}
    assert (len(entries), await store.audit.rows(0)) == (2, [])
    assert 0 < client.pttl(store.keys.audit) <= ENTRIES_MS


async def test_the_queue_itself(store: Store, client: redis.Redis) -> None:
    await store.producing.register()

    with acting_as("ann"):
        await store.changes.pause(5000, act=act_of("pause", "for 5s", "the disk is full"))
        await store.changes.resume()
        await store.changes.set_retry_budget({b"limit": 1, b"per": 1, b"at_once": 1}, act=act_of("retry_budget"))
        await Directory(store.connection).suspend(act=act_of("suspend"))
        await Directory(store.connection).resume()

    actions = ["resume", "suspend", "retry_budget", "resume", "pause"]
    assert [each.action for each in await store.audit.rows()] == actions
    assert (await store.audit.rows())[-1].reason == "the disk is full"


async def test_a_call_that_is_sent_twice_leaves_one_row(store: Store) -> None:
    await put(store, "a", "b")

    with acting_as("ann"):
        act = act_of("cancel")
        command = store.calls.command(
            "cancel", control="", canceled_ttl=9_000, call=f"w1 {act}", repeat_ms=9_000, id="a"
        )
        row = store.audit.command(act_of("pause"))

    for each in (command, row, command, row):
        assert (await store.calls.send(each))[0] == b"ok"

    assert await told(store) == [("pause", (), 0), ("cancel", ("a",), 1)]


async def test_an_act_of_several_calls_is_one_row_and_an_impatient_one_too(store: Store, server) -> None:
    ids = [f"job{number:02}" for number in range(50)]
    await put(store, *ids)
    impatient = Store(store.connection.sibling(), store.queue)

    with acting_as("ann"):
        act = act_of("delete", "fn:shop.*")

        for at in range(0, 50, 7):
            await impatient.changes.delete([*ids[at : at + 7], "x"], act=act)
            await store.changes.resume()  # others act meanwhile

    found = [each for each in await store.audit.rows() if each.action == "delete"]
    assert [(each.count, each.subjects, each.detail) for each in found] == [
        (50, tuple(ids[:MOST_SUBJECTS]), "fn:shop.*")
    ]
    await impatient.connection.aclose()


async def test_the_list_is_bounded_and_bears_damage(store: Store, client: redis.Redis) -> None:
    key = store.keys.audit
    told = json.dumps(["\x1b[31m\nx", "code", "<b>", 7, None])
    client.zadd(key, {f'["old{number}",1]\n[]': number for number in range(5)})  # from 1970
    client.zadd(key, {b"\xff{": 9e15, b'["w",1]': 9e15, b"[" * 5000: 9e15, f'["w",1,[2]]\n{told}': 8e12})

    with acting_as("ann"):
        await store.changes.resume()

    assert [each.by for each in await store.audit.rows()][-1] == "ann"
    assert not any("\x1b" in each.by or "\n" in each.by for each in await store.audit.rows())
    client.zadd(key, {f'["w{number}",1]\n[]': 8e12 for number in range(MOST_ENTRIES)})

    with acting_as("ann"):
        for _ in range(3):
            await store.changes.resume()
            assert client.zcard(key) == MOST_ENTRIES

    assert client.zscore(key, '["old4",1]\n[]') is None


async def test_all_rows_are_read_once_page_by_page(store: Store, client: redis.Redis) -> None:
    row = json.dumps(["ann", "code", "cancel", "", ""])
    client.zadd(store.keys.audit, {f'["w{number}",1,"{number}"]\n{row}': 1e12 + number for number in range(1_300)})
    client.pexpire(store.keys.audit, ENTRIES_MS)
    found = await store.audit.rows()
    assert [each.subjects for each in found] == [(str(number),) for number in reversed(range(1_300))]
    assert await store.audit.rows(700) == found[:700]
    assert await store.audit.rows(job_id="7") == [found[-8]]
    assert await store.audit.rows(job_id="ann") == []


@pytest.mark.parametrize("by", ["", " ", "a\nb", "\x1b[31m", "\udcff", "x" * 201, None, b"ann"])
async def test_a_name_that_cannot_be_shown_is_refused(by: object) -> None:
    with pytest.raises(InvalidInput, match="by="), acting_as(by):
        pass


async def test_hostile_names_reach_no_script(store: Store, connection: Connection) -> None:
    await put(store, "a")
    by = "} end redis.call('FLUSHALL') -- \"]] ' \\ \N{BOMB} {x}"

    with acting_as(by, reason=by):
        assert (await store.changes.cancel("a"))[0] == "ok"

    (entry,) = await store.audit.rows()
    assert (entry.by, entry.reason, entry.subjects) == (by, by, ("a",))


async def test_to_mute_sent_twice_does_not_extend_it(store: Store, client: redis.Redis) -> None:
    client.hset(store.keys.fingerprint + b"0" * 12, mapping={"function": "f", "first_seen": 1, "last_seen": 1})
    command = store.calls.command("mute", f="0" * 12, ms=50_000, by="ann", call="w1", repeat_ms=9_000)
    await store.calls.send(command)
    until = client.hget(store.keys.fingerprint + b"0" * 12, "muted_until")
    client.hset(store.keys.fingerprint + b"0" * 12, "muted_until", int(until) - 7)
    assert await store.calls.send(command) == [b"ok"]
    assert client.hget(store.keys.fingerprint + b"0" * 12, "muted_until") == b"%d" % (int(until) - 7)
