"""The Lua files as scripts: headers, names, words, verdicts, the clock."""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import redis

from aioq.store import (
    Connection,
    Store,
    audit,
    changes,
    duty,
    examination,
    failures,
    groups,
    lists,
    outbox,
    producing,
    reads,
    searching,
    statistics,
)
from aioq.store.keys import LANES, RARE_LANES, Keys
from aioq.store.scripts import Script, Scripts, server_scripts
from aioq.values.errors import ServerError
from aioq.values.outcome import Finished
from aioq.values.states import JobStatus
from tests.conftest import Server
from tests.store.lua import FOLDER, LIBRARY, bare, codeless, unbound
from tests.store.tools import claim, job, put, status

SOURCES = {name: (FOLDER / f"{name}.lua").read_text() for name in server_scripts().by_name}
SCRIPTS = pytest.mark.parametrize("each", server_scripts().by_name.values(), ids=lambda each: each.name)

#: Commands that a script may call although it must not write.
READS = {
    *("TIME", "EXISTS", "PTTL", "HGET", "HMGET", "HGETALL", "LLEN", "XLEN", "XINFO"),
    *("XPENDING", "XRANGE", "XREVRANGE"),
    *("ZCARD", "ZCOUNT", "ZSCORE", "ZRANGE", "ZRANGEBYSCORE"),
}

#: Beginnings of names: no key has just this name.
NEVER_THERE = {"job", "attempts", "damaged", "gone", "done"}


@SCRIPTS
def test_the_server_takes_every_script_and_knows_it_by_our_sha(each: Script, client: redis.Redis) -> None:
    assert client.script_load(each.text) == each.sha


@SCRIPTS
def test_every_script_says_first_what_it_is_for(each: Script) -> None:
    lines = SOURCES[each.name].splitlines()

    assert re.fullmatch(rf"-- {each.name}: \S.*[.]", lines[0])
    assert [line.split(":")[0] for line in lines[1:4]] == ["-- KEYS", "-- ARGV", "-- SAYS"]


@SCRIPTS
def test_keys_are_those_of_a_queue(each: Script) -> None:
    assert set(each.keys) <= Keys.of("q").by_name().keys()
    assert len(set(each.keys)) == len(each.keys)


@SCRIPTS
def test_every_name_in_the_header_is_used(each: Script) -> None:
    body = codeless(each.text.split("\n", 1 + len(each.args))[-1])

    for name in (*each.keys, *(name.removesuffix("...") for name in each.args)):
        assert name in NEVER_THERE or re.search(rf"(?<![.\w]){name}(?!\w)", body), name


@SCRIPTS
def test_a_script_that_makes_names_of_keys_is_refused_while_its_slot_is_moved(each: Script) -> None:
    """A Cluster refuses a script before it begins, if it declares two keys and one of them is not there."""
    touches_only_what_it_declares = set(each.keys) <= {"main", "front", "leases", "sessions", "wake"}

    assert touches_only_what_it_declares or (len(each.keys) > 1 and NEVER_THERE & set(each.keys))


@SCRIPTS
def test_nothing_is_used_that_nobody_has_bound(each: Script) -> None:
    assert unbound(each.text) == set()


def test_a_name_that_nobody_has_bound_is_found() -> None:
    assert unbound(
        "local a = KEYS[1]\nlocal function f(b)\n  return {a, b, c = d, [e] = 'f'}\nend\nreturn f(g.h)"
    ) == {
        "d",
        "e",
        "g",
    }


def test_parameters_of_a_function_in_a_table_are_bound_and_the_table_must_be() -> None:
    assert unbound("function checks.one(a)\n  return a, b\nend") == {"checks", "b"}


@SCRIPTS
def test_no_position_is_used_where_there_is_a_name(each: Script) -> None:
    body = bare(SOURCES[each.name])

    assert "KEYS" not in body
    assert ("ARGV" in body) == any(name.endswith("...") for name in each.args)
    assert not re.search(r"ARGV\[\d", body)
    assert all("ARGV" not in bare(text) and "KEYS" not in bare(text) for text in LIBRARY.values())


@SCRIPTS
def test_only_the_last_argument_is_a_list(each: Script) -> None:
    assert not any(name.endswith("...") for name in each.args[:-1])


@SCRIPTS
def test_every_answer_is_one_that_the_header_announces(each: Script) -> None:
    body = bare(SOURCES[each.name])
    said = set(re.findall(r"\{\s*'(\w+)'", "\n".join(re.findall(r"\breturn\b.*(?:\n\s*'\w+',)?", body))))
    said |= set(re.findall(r"\bverdict = '(\w+)'", body)) if "return {verdict" in body else set()

    assert said == each.says


def test_no_name_of_a_key_is_spelled_in_lua() -> None:
    for text in (*SOURCES.values(), *LIBRARY.values()):
        for literal in re.findall(r"'([^'\n]*)'", bare(text)):
            assert "aioq" not in literal.removeprefix("aioq."), "only the name of an error class begins so"
            assert ":" not in literal or literal in (":until", ":usual") or " " in literal, literal


@pytest.mark.parametrize("name", ["count", "ids", "load"])
def test_reads_call_nothing_that_writes(name: str) -> None:
    called = set(re.findall(r"redis\.p?call\('(\w+)'", server_scripts()[name].text))

    assert called <= READS
    assert not re.search(r"redis\.p?call\((?!')", server_scripts()[name].text)


def test_lua_knows_the_same_lanes_as_python(client: redis.Redis) -> None:
    keys = Keys.of("default")
    text = f"""local main, front = KEYS[1], KEYS[2]
    {LIBRARY["lanes"]}
    local rows = {{}}
    for i, name in ipairs(SERVED) do
      rows[i] = {{name, LANES[name], RARE[name] and 1 or 0, mark_of(name)}}
    end
    local count = 0
    for _ in pairs(LANES) do
      count = count + 1
    end
    return {{rows, count, lanes}}
    """
    rows, count, lanes = client.eval(text, 2, keys.main, keys.front)
    marks = {name: "" if name == "main" else f"{name}/" for name in LANES}

    assert rows == [
        [name.encode(), getattr(keys, name), int(name in RARE_LANES), marks[name].encode()] for name in LANES
    ]
    assert (count, lanes) == (len(LANES), keys.lanes)


def test_the_keys_of_its_own_that_a_job_has_stand_in_one_include() -> None:
    """What is about the history alone may name its key; whatever ends or keeps a job asks `own`."""
    about_history = {"own", "history", "checks/job", "checks/index", "explain"}

    assert {name for name, text in (SOURCES | LIBRARY).items() if "attempts .." in bare(text)} == about_history


def test_fields_are_read_by_their_names() -> None:
    for name, text in (SOURCES | LIBRARY).items():
        assert not re.search(r"\b(?:seen|rest|record|fields)\[[2-9]\]", bare(text)), name


def calls() -> Iterator[tuple[str, set[str]]]:
    """The scripts that Store calls, each with the names of the arguments that it passes."""
    for module in (producing, changes, reads, lists, groups, duty, outbox, failures, searching, statistics, audit):
        for node in ast.walk(ast.parse(inspect.getsource(module))):
            if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)):
                continue

            if node.func.attr in ("call", "call_once", "command") and isinstance(node.args[0], ast.Constant):
                once = {"call", "repeat_ms"} if node.func.attr == "call_once" else set()
                yield node.args[0].value, once | {str(keyword.arg) for keyword in node.keywords}

    for verb, values in duty._END.items():
        yield verb, {"jobs", *values}


def test_every_script_is_called_and_with_the_arguments_of_its_header() -> None:
    called = dict(calls())

    assert set(called) == set(server_scripts().by_name)

    for name, passed in called.items():
        assert passed == {arg.removesuffix("...") for arg in server_scripts()[name].args}, name


@pytest.mark.parametrize("values", [{}, {"chunky": 1}, {"chunk": 1, "more": 2}])
def test_missing_and_unknown_arguments_are_refused(values: dict[str, int]) -> None:
    with pytest.raises(TypeError, match=r"sweep\.lua takes chunk"):
        server_scripts()["sweep"].arguments(**values)


def test_arguments_stand_in_the_order_of_the_header() -> None:
    assert server_scripts()["retry"].arguments(jobs=[b"a", 1], expired_ttl=2) == (2, b"a", 1)


def test_all_keys_of_a_queue_share_one_hash_tag(client: redis.Redis) -> None:
    for name in ("default", "a:b/c@d+e-f.1"):
        keys = Keys.of(name)

        assert {re.sub(rb"^aioq:\{(.*?)\}:.*$", rb"\1", each) for each in keys.by_name().values()} == {
            name.encode()
        }
        assert len(set(keys.by_name().values())) == len(keys.by_name())


async def test_a_script_that_the_server_has_forgotten_is_loaded_again(store: Store, client: redis.Redis) -> None:
    await put(store, "a")
    client.script_flush()
    await put(store, "b")

    assert (await store.reads.ids(JobStatus.QUEUED))[0] == ["a", "b"]


async def test_a_pipeline_after_a_flush_runs_each_command_once(
    store: Store, connection: Connection, client: redis.Redis
) -> None:
    await put(store, "a", "b")
    await store.duty.join("w1", 60_000)
    first = await claim(store, limit=1)
    ((finish, _),) = store.duty.end_commands([(first.jobs[0], Finished(b"p1", 60_000))])
    client.script_flush()
    # Another process has loaded one of them between two commands of the pipeline.
    client.script_load(server_scripts()["claim"].text)
    ended, claimed = await connection.calls([finish, store.duty.claim_command("w1", 10)])

    assert ended == [b"ok", []]
    assert [each.record.id for each in store.duty.read_claims(claimed, "w").jobs] == ["b"]
    assert await status(store, "a") == "finished"


async def test_commands_that_are_no_scripts_share_a_pipeline_with_forgotten_ones(
    store: Store, connection: Connection, client: redis.Redis
) -> None:
    client.script_flush()
    replies = await connection.calls([("RPUSH", "aioq:worker:x", "1"), store.duty.beat_command("w1", 60_000)])
    client.delete("aioq:worker:x")

    assert replies[0] == 1
    assert replies[1][0] == b"lapsed"


@pytest.mark.parametrize("verb", ["finish", "fail", "retry", "repeat", "give_back"])
async def test_a_call_without_any_job_is_empty_and_fine(verb: str, store: Store, connection: Connection) -> None:
    command = store.calls.command(verb, jobs=[], **duty._END[verb])

    assert await connection.call(command) == [b"ok", []]


async def test_ids_of_jobs_and_names_of_fields_may_look_like_lua(store: Store) -> None:
    await store.producing.enqueue_many([job("-", **{"meta.%s ]]": b"%d"}), job("_", data=b"p'..os.exit()")])

    assert await status(store, "-") == await status(store, "_") == "queued"


#: The server's clock, and what stands in a key of the queue.
SHIFTED = """
local shift = redis.call('GET', string.match(KEYS[1], '^.-}') .. ':shift')
local time = redis.call('TIME')
local now, now_us = time[1] * 1000 + math.floor(time[2] / 1000) + (shift or 0), time[2] % 1000
"""


async def test_scripts_can_go_by_another_clock(store: Store, server: Server, client: redis.Redis) -> None:
    await put(store, "a", due="+3600000")
    client.set("aioq:{default}:shift", 3_600_001)
    shifted = Connection(server.url)
    shifted.scripts = Scripts(clock=SHIFTED)
    other = Store(shifted.sibling(), "default")
    await store.duty.join("w1", 60_000)
    await other.duty.join("w2", 60_000)

    try:
        assert (await claim(store, "w1")).jobs == []
        assert [each.record.id for each in (await claim(other, "w2")).jobs] == ["a"]
    finally:
        await other.connection.aclose()
        client.flushdb()


def test_scripts_of_another_clock_have_other_names_on_the_server_and_those_without_a_clock_the_same() -> None:
    shifted = Scripts(clock=SHIFTED)
    same = {name for name, each in shifted.by_name.items() if each.sha == server_scripts()[name].sha}

    assert same == {name for name, each in server_scripts().by_name.items() if "'TIME'" not in each.text}
    assert "claim" not in same
    assert "wake" in same


async def test_the_connections_of_a_process_share_their_scripts(connection: Connection, server: Server) -> None:
    assert connection.scripts is Connection(server.url).scripts is connection.sibling().scripts


@pytest.mark.parametrize(
    ("name", "read"),
    [
        ("claim", lambda store, reply: store.duty.read_claims(reply, "w1")),
        ("beat", lambda _, reply: duty.read_beat(reply)),
        ("holders", lambda _, reply: duty.read_holders(reply)),
        ("count", lambda _, reply: reads.read_counts(reply)),
        ("examine", lambda _, reply: examination.read_findings(reply)),
        ("finish", lambda _, reply: duty.read_refused(reply)),
        ("ids", lambda _, reply: lists.read_page(reply)),
        ("glance", lambda store, reply: store.lists.read_glance([], [reply])),
    ],
)
async def test_a_verdict_that_a_script_does_not_say_is_an_error_where_its_reply_is_read(
    name: str, read: Callable[[Store, Any], object], store: Store
) -> None:
    with pytest.raises(ServerError, match=rf"{name}\.lua answered b'nonsense'; expected \['.*ok"):
        read(store, [b"nonsense", 1, [], [], []])


def test_the_scripts_that_record_outcomes_say_the_one_word_that_is_asked_of_them() -> None:
    assert {verb: server_scripts()[verb].says for verb in duty._END} == {verb: {"ok"} for verb in duty._END}


def test_no_command_is_sent_whose_reply_is_read_without_its_verdict() -> None:
    """Each method that makes a call for others to send has a reader, and those are tested above.

    Those of the retry budget and of pauses call no script, so their replies have no verdict.
    """
    source = "".join(inspect.getsource(module) for module in (producing, changes, reads, lists, duty))
    makers = set(re.findall(r"def (\w+)_commands?\(", source))

    assert makers - {"retry_budget", "pauses"} == {
        *("claim", "end", "beat", "holders", "count", "examine", "wake", "page", "glance"),
    }
