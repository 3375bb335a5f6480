"""The namespaces of tests: their clock can be moved on, everything there goes by it, and nothing else does."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import redis

import aioq.store
from aioq.store import Connection, Store
from aioq.store.keys import TEST_PREFIX, SharedKeys
from aioq.store.scripts import scripts_of, server_scripts, travel_script, travelling_scripts
from aioq.store.time_travel import advance, advance_to_next, check_namespace, clear, now_in
from aioq.values.errors import InvalidInput, ServerError
from aioq.values.outcome import Failed, Finished, Retried
from aioq.values.states import JobStatus
from tests.conftest import Server
from tests.store.lua import unbound
from tests.store.tools import DAY_MS, LEASE, claim, end, put, start, take

PREFIX = f"{TEST_PREFIX}here"
HOUR_MS = 3_600_000
FOLDER = Path(aioq.store.__file__).parent / "travel"


@pytest.fixture
async def here(server: Server) -> AsyncIterator[Store]:
    """A queue in the namespace of a test."""
    connection = Connection(server.url, prefix=PREFIX)
    yield Store(connection, "default")
    await clear(connection, PREFIX)
    await connection.aclose()


@pytest.fixture
def client(server: Server):
    with redis.Redis.from_url(server.url) as client:
        yield client


# Whose clock can be moved


async def test_a_prefix_decides_by_which_clock_its_scripts_go() -> None:
    assert scripts_of("aioq") is scripts_of("aioq-tests") is server_scripts()
    assert scripts_of(f"{TEST_PREFIX}x") is travelling_scripts()
    assert Connection("redis://127.0.0.1:1", prefix=f"{TEST_PREFIX}x").scripts is travelling_scripts()


def test_scripts_of_tests_are_others_than_those_of_everybody_else() -> None:
    """Only those that read no clock are the same."""
    theirs, ours = travelling_scripts().by_name, server_scripts().by_name
    assert {name for name in ours if ours[name].sha == theirs[name].sha} == {
        name for name, script in ours.items() if "read_clock" not in script.text
    }
    assert "clock'" not in "".join(script.text for script in ours.values())


@pytest.mark.parametrize("name", ["now", "namespace", "advance", "clear"])
def test_the_lua_of_time_travel_uses_only_what_is_there(name: str) -> None:
    text = (FOLDER / f"{name}.lua").read_text()
    assert text.startswith(f"-- {name}: ")
    names = {"error", *(("namespace", "all_keys") if "NEEDS: namespace" in text else ())}
    assert unbound(text) - names == set()


def test_the_lua_repeats_the_beginning_of_the_prefix() -> None:
    for name in ("now", "namespace"):
        (found,) = re.findall(r"\^\((.*?)\[", (FOLDER / f"{name}.lua").read_text())
        assert found.replace("%", "") == TEST_PREFIX


#: It asks for the time to tell of an act alone, and nobody tells it of one.
WITHOUT_ACTS = {"save_meta"}


@pytest.mark.parametrize(
    "name",
    [
        name
        for name, each in server_scripts().by_name.items()
        if "read_clock" in each.text and name not in WITHOUT_ACTS
    ],
)
async def test_a_script_of_tests_refuses_every_other_namespace(
    name: str, server: Server, client: redis.Redis
) -> None:
    script = travelling_scripts()[name]
    keys = [Store(Connection(server.url), "default").keys[each] for each in script.keys]
    # The moment of an act is told, and some scripts ask for no other.
    args = ["1 word []" if each == "call" else "1" for each in script.args]

    with pytest.raises(redis.ResponseError, match=r"refuses the key aioq:\{default\}:"):
        client.eval(script.text, len(keys), *keys, *args)

    assert client.dbsize() == 0


@pytest.mark.parametrize("name", ["advance", "clear"])
async def test_what_moves_a_clock_refuses_every_other_namespace(name: str, connection: Connection) -> None:
    await connection.call(("SET", "aioq:clock", "5"))

    with pytest.raises(ServerError, match="refuses the key aioq:clock"):
        await connection.call(("EVALSHA", travel_script(name), 1, "aioq:clock", "1000", ""))

    assert await connection.call(("GET", "aioq:clock")) == b"5"
    await connection.call(("DEL", "aioq:clock"))


async def test_a_namespace_that_is_no_tests_is_refused(connection: Connection) -> None:
    for call in (advance(connection, 1000), advance_to_next(connection), now_in(connection)):
        with pytest.raises(InvalidInput, match="prefix='aioq': the clock of this namespace is the server's"):
            await call

    with pytest.raises(InvalidInput, match="expected one server for a test, and no Cluster"):
        check_namespace(Connection("redis+cluster://127.0.0.1:1", prefix=PREFIX))


async def test_other_namespaces_keep_their_time(here: Store, server: Server, connection: Connection) -> None:
    other = Connection(server.url, prefix=f"{TEST_PREFIX}there")
    before = await now_in(other)
    await advance(here.connection, HOUR_MS)

    assert (await now_in(other) - before).total_seconds() < 60
    assert (await now_in(here.connection) - before).total_seconds() >= 3600
    assert (await Store(connection, "default").reads.ids(JobStatus.QUEUED))[1] < before.timestamp() * 1000 + 60_000
    await other.aclose()


# What goes by the clock


async def test_scheduled_jobs_and_retries_get_due(here: Store) -> None:
    claimed = await start(here, "retried")
    await end(here, (claimed, Retried("boom", 2 * HOUR_MS)))
    await put(here, "later", due=f"+{HOUR_MS}")
    assert (await claim(here)).jobs == []

    await advance(here.connection, HOUR_MS)
    assert [each.record.id for each in (await claim(here)).jobs] == ["later"]
    await advance(here.connection, HOUR_MS)
    assert [each.record.id for each in (await claim(here)).jobs] == ["retried"]


async def test_a_new_job_is_stored_with_the_time_of_the_namespace(here: Store) -> None:
    await advance(here.connection, DAY_MS)
    await put(here, "a", due=f"+{HOUR_MS}")
    (record,) = await here.reads.load(["a"])
    assert record is not None
    assert record.created_at is not None
    assert abs((await now_in(here.connection) - record.created_at).total_seconds()) < 60
    assert (record.due_at - record.created_at).total_seconds() == 3600


async def test_a_ttl_runs_out(here: Store) -> None:
    await put(here, "a", ttl_ms=HOUR_MS)
    await advance(here.connection, HOUR_MS)
    (record,) = await here.reads.load(["a"])
    assert record is not None
    assert record.status == JobStatus.EXPIRED


async def test_retentions_run_out_and_what_is_left_of_them_is_shortened(here: Store, client: redis.Redis) -> None:
    ends = {"short": Finished(b"p", HOUR_MS), "long": Finished(b"p", 3 * HOUR_MS), "bad": Failed("x")}

    for job_id, outcome in ends.items():
        await end(here, (await start(here, job_id), outcome))

    await advance(here.connection, 2 * HOUR_MS)
    assert [record is None for record in await here.reads.load(list(ends))] == [True, False, False]
    assert HOUR_MS - 60_000 < client.pttl(here.keys.job + b"long") <= HOUR_MS
    assert (await here.reads.count())[JobStatus.FINISHED] == 1


async def test_a_pause_ends(here: Store) -> None:
    await here.changes.pause(HOUR_MS)
    await advance(here.connection, HOUR_MS - 60_000)
    assert await here.reads.is_paused()
    await advance(here.connection, 60_000)
    assert not await here.reads.is_paused()


# Workers


async def test_a_worker_keeps_its_lease_and_what_is_known_of_it(here: Store, client: redis.Redis) -> None:
    await start(here)
    description = SharedKeys(PREFIX).worker("w1")
    client.set(description, "x", px=45_000)
    before = client.zscore(here.keys.leases, "w1")

    await advance(here.connection, 40 * DAY_MS)
    assert client.zscore(here.keys.leases, "w1") == before + 40 * DAY_MS
    assert client.pttl(description) > 40_000
    assert (await claim(here)).verdict == "ok"
    assert await here.duty.late_workers() == []


async def test_a_lease_that_was_over_stays_over(here: Store, client: redis.Redis) -> None:
    await start(here)
    client.zadd(here.keys.leases, {"w1": 1})
    await advance(here.connection, HOUR_MS)
    assert client.zscore(here.keys.leases, "w1") == 1
    assert await here.duty.late_workers() == ["w1"]


async def test_leases_run_out_if_that_is_asked_for(here: Store) -> None:
    await start(here)
    await advance(here.connection, LEASE - 30_000, leases=True)
    assert await here.duty.late_workers() == []
    await advance(here.connection, 30_001, leases=True)
    assert await here.duty.late_workers() == ["w1"]
    assert (await here.duty.reclaim("w1"))[1] == ["a"]


async def test_each_queue_gets_a_token_so_that_an_idle_worker_wakes(here: Store, client: redis.Redis) -> None:
    other = Store(here.connection, "other")

    for store in (here, other):
        await put(store, "a", due=f"+{HOUR_MS}")
        await take(store)
        client.delete(store.keys.wake)

    await advance(here.connection, HOUR_MS)
    assert [client.llen(store.keys.wake) for store in (here, other)] == [1, 1]
    await advance(here.connection, 1)
    assert client.llen(here.keys.wake) == 1


# The next job


async def test_the_clock_goes_to_the_next_job_of_any_queue(here: Store) -> None:
    assert not await advance_to_next(here.connection)
    other = Store(here.connection, "other")
    before = await now_in(here.connection)
    await put(here, "late", due=f"+{2 * HOUR_MS}")
    await put(other, "soon", due=f"+{HOUR_MS}")

    assert await advance_to_next(here.connection)
    assert 3599 < (await now_in(here.connection) - before).total_seconds() < 3660
    assert [each.record.id for each in await take(other)] == ["soon"]
    assert await take(here) == []

    assert await advance_to_next(here.connection)
    assert [each.record.id for each in await take(here)] == ["late"]
    assert not await advance_to_next(here.connection)


async def test_a_job_that_is_due_already_moves_no_clock(here: Store, client: redis.Redis) -> None:
    await put(here, "a", due="1")
    assert not await advance_to_next(here.connection)
    assert client.get(SharedKeys(PREFIX).clock) is None


# The end


async def test_only_the_namespace_is_cleared(here: Store, connection: Connection, client: redis.Redis) -> None:
    longer = Connection(connection.url, prefix=f"{PREFIX}2")
    await put(here, "a")
    await put(Store(longer, "default"), "a")
    await put(Store(connection, "default"), "a")
    await advance(here.connection, 1)

    assert await clear(connection, PREFIX) == 6
    assert {key.partition(b":{")[0] for key in client.keys("*:job:*")} == {b"aioq", f"{PREFIX}2".encode()}
    assert client.keys(f"{PREFIX}:*") == []
    await clear(connection, f"{PREFIX}2")
    await longer.aclose()
    await Store(connection, "default").changes.delete(["a"])
