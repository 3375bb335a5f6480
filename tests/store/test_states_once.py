"""A state is one row of the table: what the scripts, the keys and the examination know of it follows."""

from __future__ import annotations

import pytest
import redis

from aioq.store import Connection, Store
from aioq.store.examination import PLACES
from aioq.store.keys import Keys
from aioq.store.scripts import Scripts, server_scripts
from aioq.store.tables import tables
from aioq.values.states import FINAL, KEPT_MS, STATES, JobStatus, Row
from tests.conftest import Server
from tests.store.tools import clock

#: A final state that aioq does not have.
DROPPED = "dropped"
PRETENDED = {**STATES, DROPPED: Row({"requeue": (JobStatus.QUEUED,)}, kept_ms=7_000)}

#: Scripts that name the registries of all states in their headers.
WITH_REGISTRIES = {name for name, each in server_scripts().by_name.items() if set(each.keys) >= FINAL}


@pytest.fixture(scope="module")
def pretended() -> Scripts:
    return Scripts(states=PRETENDED)


def test_lua_knows_the_states_and_verbs_of_the_table(client: redis.Redis) -> None:
    verbs = sorted({verb for row in STATES.values() for verb in row.verbs})
    text = f"""{tables(STATES)["NEXT"]}
    local found = {{}}
    for _, state in ipairs({{{", ".join(f"'{state}'" for state in STATES)}}}) do
      for _, verb in ipairs({{{", ".join(f"'{verb}'" for verb in verbs)}}}) do
        found[#found + 1] = NEXT[state][verb] and 1 or 0
      end
    end
    return found
    """

    assert client.eval(text, 0) == [int(verb in row.verbs) for row in STATES.values() for verb in verbs]


def test_the_tables_of_final_states_have_these_states_alone() -> None:
    found = tables(PRETENDED)

    assert "dropped = 7000}" in found["USUAL"]
    assert "dropped = dropped}" in found["REGISTRIES"]
    assert "dropped = true}" in found["FINAL"]
    assert "queued" not in found["USUAL"] + found["REGISTRIES"] + found["FINAL"]
    assert "dropped = {requeue = true}" in found["NEXT"]


def test_every_script_that_lists_registries_takes_a_new_one(pretended: Scripts, client: redis.Redis) -> None:
    assert WITH_REGISTRIES >= {"cancel", "stop", "delete", "requeue", "sweep", "count", "ids", "examine"}

    for name, each in pretended.by_name.items():
        assert client.script_load(each.text) == each.sha
        assert (DROPPED in each.keys) == (name in WITH_REGISTRIES)


def test_every_final_state_has_a_key_and_is_examined() -> None:
    assert Keys.of("q").registries == {state: f"aioq:{{q}}:{state}".encode() for state in FINAL}

    for end in (b"", b":until", b":usual"):
        assert {each.key for each in PLACES if each.end == end} >= FINAL


async def test_a_new_registry_is_counted_and_swept(
    pretended: Scripts, server: Server, client: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("aioq.store.keys.KEPT_MS", {**KEPT_MS, DROPPED: 7_000})
    connection = Connection(server.url)
    connection.scripts = pretended
    store = Store(connection, "q")
    usual = store.keys[DROPPED] + b":usual"
    client.hset(store.keys.job + b"new", mapping={"status": DROPPED})
    client.zadd(usual, {"old": clock(client) - 7_100, "new": clock(client) - 100})

    try:
        reply = await connection.call(store.reads.count_command())
        counted = dict(zip(reply[1][::2], reply[1][1::2], strict=True))
        await store.duty.sweep()

        assert counted[DROPPED.encode()] == 1
        assert client.zrange(usual, 0, -1) == [b"new"]
    finally:
        await connection.aclose()
        client.flushdb()  # it has no retention
