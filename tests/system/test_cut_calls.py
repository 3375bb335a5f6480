"""Each script that writes is cut at each end of its call: after the next call all is as if nothing had been cut.

A call is cut before the server sees it, after it has run, or in the middle of its reply. What repeats it is what
repeats it in earnest: a client's connection the call itself, a worker its outcomes, and for a claim the courier
finds out first what has become of the lost one. What then stands on the server is compared with what stands there
after one whole call.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Iterator
from typing import Any, NamedTuple

import pytest
import redis

from aioq import Connection
from aioq.store import Store
from aioq.store.duty import read_refused
from aioq.store.examination import Subject
from aioq.store.outbox import UNKNOWN, End, Watch
from aioq.store.scripts import server_scripts
from aioq.values.claim import Claims
from aioq.values.errors import ServerUnreachable
from aioq.values.outcome import Failed, FailedRun, Finished, FinishedRun, Interrupted, Outcome, Retried
from tests.conftest import Server
from tests.store.tools import LEASE, audit, bring, clock, dump, job, passed, put, start, take
from tests.system.proxy import Cut, Proxy

#: A call through a store; made again by its connection, or by itself.
Call = Callable[[Store], Awaitable[Any]]


class Scene(NamedTuple):
    """What one call changes.

    Args:
        prepare: brings a queue to where it can be called, and gives the call.
        differs: fields that are another's after a second call; why is said where they are named.

    """

    prepare: Callable[[Store, redis.Redis], Awaitable[Call]]
    differs: frozenset[bytes] = frozenset()


SCENES: dict[str, Scene] = {}

#: Calls that get the answer of the first one when they are sent again, though it has changed something.
ANSWERED_AGAIN = {"add_members", "enqueue", "cancel", "stop", "delete", "requeue", "save_meta"}


def scene(*differs: bytes) -> Callable[[Callable[[Store, redis.Redis], Awaitable[Call]]], None]:
    """Registers the scene of the script that the function is called after."""

    def register(prepare: Callable[[Store, redis.Redis], Awaitable[Call]]) -> None:
        SCENES[prepare.__name__.removeprefix("to_")] = Scene(prepare, frozenset(differs))

    return register


@scene()
async def to_enqueue(store: Store, client: redis.Redis) -> Call:
    await bring(store, client, "failed", "again", nonce="n0")
    submissions = [
        job("random"),
        job("front", front=True),
        job("late", due="+60000"),
        job("chosen", nonce="n1"),
        job("again", nonce="n2"),  # takes the place of one that has ended
        job("short", ttl_ms=60_000),
    ]

    return lambda store: store.producing.enqueue_many(submissions)


# What a claim had taken whose reply was lost goes back, and is claimed with the next fence, which is no attempt.
# The worker `w1` has a new session then.
@scene(b"fence", b"uncounted", b"entry", b"enqueued_at", b"more", b"w1")
async def to_claim(store: Store, client: redis.Redis) -> Call:
    await store.duty.join("w1", LEASE)
    await put(store, "a", "b", "c", front=True)
    await put(store, "d")
    return _claim


async def _claim(store: Store) -> list[str]:
    """As the courier does it: on a connection that repeats nothing; after a lost reply a new session begins."""
    connection = store.connection.sibling()
    session = 0

    async def claim() -> Claims:
        return store.duty.read_claims(await connection.call(store.duty.claim_command("w1", 3, session)), "w1")

    try:
        claims = await claim()
    except ServerUnreachable:
        session = 1
        await store.duty.reclaim("w1", (), session)
        claims = await claim()
    finally:
        await connection.aclose()

    assert [claim.record.attempt for claim in claims.jobs] == [1, 1, 1]

    return [claim.record.id for claim in claims.jobs]


@scene()
async def to_finish(store: Store, client: redis.Redis) -> Call:
    return await _ends(store, Finished(b"p1", 60_000), Finished(b"p2", 500_000), Finished(b"p3", 0))


@scene()
async def to_fail(store: Store, client: redis.Redis) -> Call:
    return await _ends(store, Failed("boom"), Failed("bang"))


@scene()
async def to_retry(store: Store, client: redis.Redis) -> Call:
    return await _ends(store, Retried("boom", 0), Retried("bang", 60_000), Retried("boo", 0, at_front=True))


@scene()
async def to_repeat(store: Store, client: redis.Redis) -> Call:
    later = int(client.time()[0]) * 1000 + 60_000

    return await _ends(store, FinishedRun(b"p1", 60_000, due_ms=later), FailedRun("boom", due_ms=later))


@scene()
async def to_give_back(store: Store, client: redis.Redis) -> Call:
    return await _ends(store, Interrupted(begun=True), Interrupted(begun=False))


async def _ends(store: Store, *outcomes: Outcome) -> Call:
    """Runs that end like this, in one call."""
    names = [f"j{number}" for number in range(len(outcomes))]
    await put(store, *names)
    ((command, _),) = store.duty.end_commands(zip(await take(store), outcomes, strict=True))

    async def call(store: Store) -> dict[int, str]:
        return read_refused(await store.connection.call(command))

    return call


@scene()
async def to_reclaim(store: Store, client: redis.Redis) -> Call:
    await put(store, "a", "b")
    await put(store, "third", deaths=b"0 x\n0 y\n", is_alone=b"1")
    await take(store)
    await store.duty.join("w2", LEASE)
    await _end_lease(store, client)
    return lambda store: store.duty.reclaim("w1")


async def _end_lease(store: Store, client: redis.Redis) -> None:
    await store.connection.call(store.duty.beat_command("w1", 1))
    await passed(client, clock(client) + 1)


@scene()
async def to_requeue(store: Store, client: redis.Redis) -> Call:
    await bring(store, client, "failed", "a")
    await bring(store, client, "canceled", "b")
    return lambda store: store.changes.requeue(["a", "b", "none"], at_front=False, reset=True)


@scene()
async def to_cancel(store: Store, client: redis.Redis) -> Call:
    await start(store, "a")
    return lambda store: store.changes.cancel("a")


@scene()
async def to_stop(store: Store, client: redis.Redis) -> Call:
    await start(store, "a")
    return lambda store: store.changes.stop("a")


@scene()
async def to_delete(store: Store, client: redis.Redis) -> Call:
    await start(store, "a")
    await bring(store, client, "failed", "b")
    await bring(store, client, "scheduled", "c")
    await put(store, "kept")
    return lambda store: store.changes.delete(["a", "b", "c"])


@scene()
async def to_save_meta(store: Store, client: redis.Redis) -> Call:
    claim = await start(store, "a", **{"meta.old": b"1", "meta.gone": b"2"})
    return lambda store: store.changes.save_meta(
        "a", claim.fence, [b"meta.new", b"3", b"meta.old", b"4"], [b"meta.gone"]
    )


@scene()
async def to_wait(store: Store, client: redis.Redis) -> Call:
    await put(store, "a")
    await bring(store, client, "failed", "b")
    return lambda store: store.producing.wait("aioq:waiter:x", ["a", "b", "none"])


@scene()
async def to_wake(store: Store, client: redis.Redis) -> Call:
    return lambda store: store.changes.wake()


@scene()
async def to_beat(store: Store, client: redis.Redis) -> Call:
    await store.duty.join("w1", LEASE)
    return lambda store: store.connection.call(store.duty.beat_command("w1", LEASE))


@scene()
async def to_join(store: Store, client: redis.Redis) -> Call:
    await take(store, "gone")  # has left a consumer that holds nothing
    return lambda store: store.duty.join("w1", LEASE, 3)


@scene()
async def to_leave(store: Store, client: redis.Redis) -> Call:
    await store.duty.join("w1", LEASE)
    await store.duty.join("w2", LEASE)
    return lambda store: store.duty.leave("w1")


@scene()
async def to_sweep(store: Store, client: redis.Redis) -> Call:
    await put(store, "short", "long")
    outcomes = Finished(b"p1", 1), Finished(b"p2", 600_000)
    for command, _ in store.duty.end_commands(zip(await take(store), outcomes, strict=True)):
        await store.connection.call(command)
    await passed(client, clock(client) + 1)
    return lambda store: store.duty.sweep()


@scene()
async def to_let_go(store: Store, client: redis.Redis) -> Call:
    await put(store, "a", "b")
    client.zadd(store.keys.dependents + b"a", {"x@other": 9, "y@other": 9})

    return lambda store: store.outbox.let_go([("a", "x@other"), ("b", "x@other")])


@scene()
async def to_depend(store: Store, client: redis.Redis) -> Call:
    await put(store, "a")
    await bring(store, client, "finished", "b")
    watches = [Watch("a", "c@other", 0), Watch("b", "c@other", 1), Watch("gone", "c@other", 2)]

    return lambda store: store.outbox.depend(watches)


@scene()
async def to_decide(store: Store, client: redis.Redis) -> Call:
    await put(store, "a", parents="wp@other,rq@other")
    await put(store, "b", parents="cp@other")
    await put(store, "c", parents="wp@other")
    ends = [
        End("a", "p@other", 0, "finished"),
        End("a", "q@other", 1, "failed"),
        End("b", "p@other", 2, "stopped"),
    ]

    return lambda store: store.outbox.decide([*ends, End("c", "p@other", 0, UNKNOWN)])


@scene()
async def to_outbox(store: Store, client: redis.Redis) -> Call:
    await put(store, "a", parents="wp@other,rq@other")

    return lambda store: store.outbox.rows(["depend p@other 0 a"])


def of_group(*jobs: str) -> list[Any]:
    return [job(each, group=f"g/{place}") for place, each in enumerate(jobs)]


SEQUELS: dict[Any, Any] = {"complete": {b"func": b"m.f", b"id": "made"}}


@scene()
async def to_open_group(store: Store, client: redis.Redis) -> Call:
    return lambda store: store.groups.open("g", "token", 60_000, SEQUELS)


@scene()
async def to_add_members(store: Store, client: redis.Redis) -> Call:
    await store.groups.open("g", "token", 60_000, SEQUELS)

    return lambda store: store.groups.add("g", "token", ["a", "b"])


@scene()
async def to_close_group(store: Store, client: redis.Redis) -> Call:
    await store.groups.open("g", "token", 60_000, SEQUELS)
    await store.groups.add("g", "token", ["a", "b"])
    await store.producing.enqueue_many(of_group("a"))
    await store.changes.cancel("a")

    return lambda store: store.groups.close("g", "token", [1])


@scene()
async def to_wait_group(store: Store, client: redis.Redis) -> Call:
    await store.groups.open("g", "token", 60_000, SEQUELS)

    return lambda store: store.groups.wait("channel", ["g", "g/0"])


@scene()
async def to_tell_group(store: Store, client: redis.Redis) -> Call:
    await store.groups.open("g", "token", 60_000, SEQUELS)
    await store.groups.add("g", "token", ["a@other", "b@other"])
    await store.groups.close("g", "token")

    return lambda store: store.groups.tell(["g 0 failed 0", "g 0 open 1", "g 0 finished 1", "g 1 gone 0"])


@scene()
async def to_tell_again(store: Store, client: redis.Redis) -> Call:
    await put(store, "a", parents="wp@other")
    client.delete(store.keys.outbox)

    return lambda store: store.outbox.tell_again(["a"])


@scene()
async def to_mute(store: Store, client: redis.Redis) -> Call:
    await bring(store, client, "failed", "a")
    (group,) = await store.failures.all()

    return lambda store: store.failures.mute(group.fingerprint, 60_000, "ann")


@scene()
async def to_tally(store: Store, client: redis.Redis) -> Call:
    await store.producing.register()

    return lambda store: store.statistics.tally("w1", 1, "finished=2 w5=2")


@scene()
async def to_audit(store: Store, client: redis.Redis) -> Call:
    await store.producing.register()

    act = 'word ["ann", "code", "pause", "", ""]'  # a word of its own for each act

    return lambda store: store.connection.call(store.audit.command(act, ["default"]))


@scene()
async def to_forget_statistics(store: Store, client: redis.Redis) -> Call:
    await store.statistics.tally("w1", 1, "finished=2 w5=2")

    return lambda store: store.statistics.forget()


@scene()
async def to_examine(store: Store, client: redis.Redis) -> Call:
    await put(store, "a", "b")
    client.delete(store.keys.main)
    return lambda store: store.reads.examine([Subject("job", b"", "a"), Subject("job", b"", "b")], repair=True)


@pytest.fixture
def client(server: Server) -> Iterator[redis.Redis]:
    """A plain client, undecoded."""
    with redis.Redis.from_url(server.url) as client:
        yield client


@pytest.mark.parametrize("where", ["request", "reply", "inside"])
@pytest.mark.parametrize("verb", SCENES)
async def test_a_cut_call_changes_as_much_as_a_whole_one(
    server: Server, client: redis.Redis, verb: str, where: Cut
) -> None:
    prepare, differs = SCENES[verb]

    async with Proxy(server.socket) as proxy:
        direct, through = Connection(server.url), Connection(proxy.url)

        try:
            store = Store(direct, "default")
            said = await (await prepare(store, client))(store)
            expected, counts = _plain(client, differs), await store.reads.count()
            client.flushall()

            store = Store(direct, "default")
            call = await prepare(store, client)
            await through.call(("PING",))
            proxy.cut(verb, where)
            answer = await call(Store(through, "default"))

            assert proxy.cuts == 1
            assert _plain(client, differs) == expected
            assert await store.reads.count() == counts
            assert audit(client, store) == []

            if where == "request" or verb in ANSWERED_AGAIN:
                assert _words(answer) == _words(said)
        finally:
            await through.aclose()
            await direct.aclose()


def test_each_script_has_its_scene() -> None:
    readers = {
        "count",
        "holders",
        "ids",
        "load",
        "load_group",
        "explain",
        "failures",
        "glance",
        "match",
        "statistics",
    }

    assert SCENES.keys() == server_scripts().by_name.keys() - readers


_CALL = re.compile(rb"(?<=:done:)\w+")  # a random word
_MOMENT, _ENTRY = re.compile(rb"\b1\d{12}\b"), re.compile(rb"\b1\d{12}-\d+\b")


def _plain(client: redis.Redis, differs: frozenset[bytes]) -> dict[bytes, Any]:
    """What is on the server, with one word for each moment that has passed meanwhile."""
    found: dict[bytes, Any] = {}

    for key, (value, goes_at) in dump(client).items():
        found.setdefault(_CALL.sub(b"call", key), []).append((_words(_comparable(value, differs)), goes_at > 0))

    return {key: sorted(values, key=repr) for key, values in found.items()}


def _comparable(value: Any, differs: frozenset[bytes]) -> Any:
    if isinstance(value, dict):
        return {name: text for name, text in value.items() if name not in differs}

    if isinstance(value, tuple):
        entries, held, groups = value  # of a stream
        return [row for _, row in entries], sorted(held.values()), [group["consumers"] for group in groups]

    return value


def _words(value: Any) -> Any:
    match value:
        case bytes():
            return _MOMENT.sub(b"moment", _ENTRY.sub(b"entry", value))
        case int() | float() if abs(value) > 1e12:
            return "moment"
        case dict():
            return {name: _words(each) for name, each in sorted(value.items())}
        case set():
            return sorted(value)
        case list() | tuple():
            return [_words(each) for each in value]
        case _:
            return value
