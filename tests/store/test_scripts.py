"""The Lua files themselves: headers, names, words, and the table of transitions."""

from __future__ import annotations

import ast
import dataclasses
import inspect
import re
from collections.abc import Iterator
from importlib import resources

import pytest
import redis

from aioq.store import Connection, Store, changes, duty, producing, reads
from aioq.store.keys import Keys
from aioq.store.script import Script, all_scripts, script
from aioq.values.outcome import Finished
from aioq.values.states import FINAL, NEXT, JobStatus
from tests.store.tools import claim, job, put, status

FOLDER = resources.files("aioq.store") / "lua"
SOURCES = {name: (FOLDER / f"{name}.lua").read_text() for name in all_scripts()}
LIBRARY = {
    each.name.removesuffix(".lua"): each.read_text() for each in (FOLDER / "lib").iterdir() if each.is_file()
}
SCRIPTS = pytest.mark.parametrize("each", all_scripts().values(), ids=lambda each: each.name)

LUA_WORDS = {
    *(
        "and",
        "break",
        "do",
        "else",
        "elseif",
        "end",
        "false",
        "for",
        "function",
        "if",
        "in",
        "local",
        "nil",
        "not",
    ),
    *("or", "repeat", "return", "then", "true", "until", "while"),
}
LUA_GLOBALS = {
    *("KEYS", "ARGV", "redis", "cjson", "string", "math", "table"),
    *("tonumber", "tostring", "ipairs", "pairs", "type", "unpack"),
}

#: Commands that a script may call although it must not write.
READS = {
    *("TIME", "EXISTS", "PTTL", "HGET", "HMGET", "HGETALL", "LLEN", "XLEN", "XINFO"),
    *("XPENDING", "XRANGE", "XREVRANGE"),
    *("ZCARD", "ZCOUNT", "ZSCORE", "ZRANGE", "ZRANGEBYSCORE"),
}


def bare(text: str) -> str:
    """Lua without its comments."""
    return re.sub(r"--.*", "", text)


def codeless(text: str) -> str:
    """Lua without comments and without what stands in quotes."""
    return re.sub(r"'[^'\n]*'", "''", bare(text))


def unbound(text: str) -> set[str]:
    """Names that a script reads and nobody has bound: each is an error at run time, on the day it is reached."""
    code = codeless(text)
    bound = set()

    for names in re.findall(r"\blocal\s+(?!function)([\w,\s]+?)(?==|\n|$)", code):
        bound |= set(re.findall(r"\w+", names))

    for name, names in re.findall(r"\bfunction\s+(\w*)\s*\(([^)]*)\)", code):
        bound |= {name, *re.findall(r"\w+", names)}

    for names in re.findall(r"\bfor\s+([\w,\s]+?)(?:=|\bin\b)", code):
        bound |= set(re.findall(r"\w+", names))

    code = re.sub(r"([{,]\s*)[A-Za-z_]\w*(\s*=[^=])", r"\1\2", code)  # fields of a table constructor
    used = set(re.findall(r"(?<![.\w:])[A-Za-z_]\w*", code))

    return used - bound - LUA_WORDS - LUA_GLOBALS


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


@pytest.mark.parametrize("name", LIBRARY)
def test_every_include_says_first_what_it_is_for_and_is_used(name: str) -> None:
    assert LIBRARY[name].startswith(f"-- {name}: ")
    assert any(f"--@include {name}\n" in source for source in [*SOURCES.values(), *LIBRARY.values()])


@SCRIPTS
def test_keys_are_those_of_a_queue(each: Script) -> None:
    assert set(each.keys) <= {field.name for field in dataclasses.fields(Keys)}
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
    called = set(re.findall(r"redis\.p?call\('(\w+)'", all_scripts()[name].text))

    assert called <= READS
    assert not re.search(r"redis\.p?call\((?!')", all_scripts()[name].text)


def test_lua_knows_the_same_transitions_as_python(client: redis.Redis) -> None:
    verbs = sorted({verb for row in NEXT.values() for verb in row} | {"nonsense"})
    states = [*map(str, JobStatus), "nonsense"]
    text = f"""{LIBRARY["transition"]}
    local found = {{}}
    for _, state in ipairs({{{", ".join(f"'{state}'" for state in states)}}}) do
      for _, verb in ipairs({{{", ".join(f"'{verb}'" for verb in verbs)}}}) do
        found[#found + 1] = allows(state, verb) and 1 or 0
      end
      found[#found + 1] = FINAL[state] and 1 or 0
    end
    found[#found + 1] = allows(nil, 'claim') and 1 or 0
    return found
    """
    expected = [
        int(each)
        for state in states
        for each in (*(verb in NEXT.get(state, {}) for verb in verbs), state in FINAL)
    ]

    assert client.eval(text, 0) == [*expected, 0]


def calls() -> Iterator[tuple[str, set[str]]]:
    """The scripts that Store calls, each with the names of the arguments that it passes."""
    for module in (producing, changes, reads, duty):
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

    assert set(called) == set(all_scripts())

    for name, passed in called.items():
        assert passed == {arg.removesuffix("...") for arg in script(name).args}, name


@pytest.mark.parametrize("values", [{}, {"chunky": 1}, {"chunk": 1, "more": 2}])
def test_missing_and_unknown_arguments_are_refused(values: dict[str, int]) -> None:
    with pytest.raises(TypeError, match=r"sweep\.lua takes chunk"):
        script("sweep").arguments(**values)


def test_arguments_stand_in_the_order_of_the_header() -> None:
    assert script("retry").arguments(jobs=[b"a", 1], expired_ttl=2) == (2, b"a", 1)


def test_all_keys_of_a_queue_share_one_hash_tag(client: redis.Redis) -> None:
    for name in ("default", "a:b/c@d+e-f.1"):
        keys = Keys.of(name)

        assert {re.sub(rb"^aioq:\{(.*?)\}:.*$", rb"\1", getattr(keys, each)) for each in keys.__slots__} == {
            name.encode()
        }
        assert len({getattr(keys, each) for each in keys.__slots__}) == len(keys.__slots__)


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
    client.script_load(script("claim").text)  # another process has loaded it between two commands of the pipeline
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


@pytest.mark.parametrize("verb", ["finish", "fail", "retry", "give_back"])
async def test_a_call_without_any_job_is_empty_and_fine(verb: str, store: Store, connection: Connection) -> None:
    command = store.calls.command(verb, jobs=[], **duty._END[verb])

    assert await connection.call(command) == [b"ok", []]


async def test_ids_of_jobs_and_names_of_fields_may_look_like_lua(store: Store) -> None:
    await store.producing.enqueue_many([job("-", **{"meta.%s ]]": b"%d"}), job("_", data=b"p'..os.exit()")])

    assert await status(store, "-") == await status(store, "_") == "queued"
