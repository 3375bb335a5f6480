from __future__ import annotations

import json
import re
from importlib import resources
from types import MappingProxyType
from typing import Any, get_args, get_type_hints

import pytest

from aioq.values.durability import Level
from aioq.values.durations import Duration
from aioq.values.errors import DeserializationError, InvalidInput
from aioq.values.option import Field, Packed, Word
from aioq.values.options import (
    NO_OPTIONS,
    OPTION_NAMES,
    OPTIONS,
    ROWS,
    Executor,
    JobOptions,
    Options,
    read_options,
)
from aioq.values.record import JobRecord
from aioq.values.repeat import Repeat
from aioq.values.result_of import RESULTS_OPTION
from aioq.values.retry import Retry
from aioq.values.webhook import Webhook

#: A value for each part of a type in `Options`, and one that no such option takes.
VALUES: dict[Any, tuple[Any, Any]] = {
    **dict.fromkeys(get_args(Duration), ("90s", "soon")),
    str: ("text", 5),
    bool: (True, 1),
    Retry: (Retry(2), "two"),
    Repeat: (Repeat(2), 2),
    Webhook: (Webhook("https://example.com", "failed"), "https://example.com"),
    Level: ("fsync", "disk"),
    Executor: ("process", "fork"),
}


def value_of(name: str, *, good: bool = True) -> Any:
    """A value for an option, of the type that type checkers see; or a bad one."""
    kinds = get_type_hints(Options)[name]
    kind = next((each for each in (kinds, *get_args(kinds)) if each in VALUES), None)

    return VALUES[kind][not good] if kind else ({"a": 1} if good else [("a", 1)])


def test_type_checkers_see_the_options_that_have_rows() -> None:
    assert sorted(Options.__annotations__) == sorted(row.name for row in OPTIONS)
    assert len({row.field for row in ROWS}) == len(ROWS)


@pytest.mark.parametrize("row", OPTIONS, ids=lambda row: row.name)
def test_an_option_takes_the_type_that_type_checkers_see(row) -> None:
    given: Any = {row.name: value_of(row.name)}
    assert vars(read_options(given)).keys() == {row.field}

    with pytest.raises(InvalidInput, match=f"(?i){row.name}"):
        read_options({row.name: value_of(row.name, good=False)})  # type: ignore[misc]


@pytest.mark.parametrize("row", [row for row in ROWS if isinstance(row.stored, Packed)], ids=lambda row: row.name)
def test_a_packed_option_is_read_back_and_damage_to_it_is_told(row) -> None:
    given = [[0, "a"], ["x", "b"]] if row is RESULTS_OPTION else value_of(row.name.removeprefix("default_"))
    value = row.read(given, row.name)
    packed = JobOptions(**{row.field: value}).packed()
    assert JobRecord("a", {b"opts": packed}).option(row) == json.loads(packed)[row.stored.key]
    assert JobRecord("a", {}).option(row) == row.stored.default

    damaged = JobRecord("a", {b"opts": json.dumps({row.stored.key: [1]}).encode()})
    assert damaged.option(row) == row.stored.default

    with pytest.raises(DeserializationError, match="options cannot be read"):
        damaged.call()


@pytest.mark.parametrize("row", [row for row in ROWS if isinstance(row.stored, Field)], ids=lambda row: row.name)
def test_an_option_with_a_field_is_read_back_from_it(row) -> None:
    assert JobRecord("a", {row.stored.name: b"7000"}).option(row) == 7_000
    assert JobRecord("a", {row.stored.name: b"junk"}).option(row) == row.stored.default


def test_enqueue_has_a_handler_for_the_word_of_every_option() -> None:
    script = (resources.files("aioq.store") / "lua/lib/heads.lua").read_text()
    handlers = set(re.findall(r"^  (\w+) = function\(new", script, re.MULTILINE))
    words = {row.stored.name for row in ROWS if isinstance(row.stored, Word)}

    assert words < handlers == {*words, "due", "group", "child"}


def test_the_executor_of_the_queue_is_not_stored_beside_the_job_s_own() -> None:
    of_queue = JobOptions(default_executor="process")
    assert json.loads(read_options({"executor": "thread"}).over(of_queue).packed()) == {"executor": "thread"}
    assert json.loads(of_queue.packed()) == {"default_executor": "process"}


def test_packed_options_stand_in_one_order() -> None:
    given = read_options({"executor": "thread", "retry": 1, "result_ttl": 5, "job_timeout": 6, "description": "d"})
    assert list(json.loads(given.packed())) == ["timeout", "result_ttl", "description", "retry", "executor"]


def test_every_option_is_read_into_its_field() -> None:
    options = read_options(
        {
            "job_timeout": "5m",
            "result_ttl": 0,
            "ttl": 0.05,
            "failure_ttl": -1,
            "description": "count",
            "job_id": "a-1",
            "at_front": True,
            "meta": {"a": 1},
            "retry": 3,
        }
    )

    assert options == JobOptions(
        timeout_ms=300_000,
        result_ttl_ms=0,
        ttl_ms=50,
        failure_ttl_ms=-1,
        description="count",
        job_id="a-1",
        at_front=True,
        meta={"a": 1},
        retry=Retry(3),
    )


def test_nothing_given_is_nothing_set() -> None:
    assert read_options({}) is NO_OPTIONS
    assert read_options(dict.fromkeys(OPTION_NAMES)) == NO_OPTIONS


@pytest.mark.parametrize(
    ("name", "value", "error"),
    [
        ("job_timeout", 0, InvalidInput),
        ("job_timeout", -2, InvalidInput),
        ("job_timeout", True, TypeError),
        ("result_ttl", -2, InvalidInput),
        ("ttl", 0, InvalidInput),
        ("ttl", -1, InvalidInput),
        ("ttl", "abc", InvalidInput),
        ("failure_ttl", "-5", InvalidInput),
        ("description", 5, TypeError),
        ("job_id", "a b", InvalidInput),
        ("job_id", 5, TypeError),
        ("meta", [("a", 1)], TypeError),
        ("meta", {1: 1}, TypeError),
        ("meta", {"\ud800": 1}, InvalidInput),
        ("retry", -1, InvalidInput),
        ("retry", 1.5, InvalidInput),
        ("executor", "fork", InvalidInput),
        ("executor", ["process"], InvalidInput),
    ],
)
def test_a_bad_value_is_refused_by_the_option_s_name(name: str, value: object, error: type[Exception]) -> None:
    with pytest.raises(error, match="(?i)" + name.removeprefix("job_")):
        read_options({name: value})


def test_an_unknown_option_is_refused_with_the_known_ones() -> None:
    with pytest.raises(InvalidInput, match=r"no option timeout; .* no option zzz. .* job_timeout, meta"):
        read_options({"timeout": 5, "zzz": 1})


def test_a_meta_mapping_need_not_be_a_dict() -> None:
    assert read_options({"meta": MappingProxyType({"a": 1})}).meta == {"a": 1}


@pytest.mark.parametrize("zero", ["result_ttl", "failure_ttl"])
def test_a_retention_of_0_is_given_and_not_replaced_by_a_default(zero: str) -> None:
    given, defaults = read_options({zero: 0}), read_options({zero: 500})

    assert getattr(given.over(defaults), f"{zero}_ms") == 0


@pytest.mark.parametrize("zero", ["result_ttl", "failure_ttl"])
def test_a_default_retention_of_0_applies_where_none_was_given(zero: str) -> None:
    assert getattr(NO_OPTIONS.over(read_options({zero: 0})), f"{zero}_ms") == 0


def test_defaults_fill_what_was_not_given_and_nothing_else() -> None:
    defaults = read_options({"ttl": 5, "retry": 2, "at_front": True, "description": "d", "meta": {"a": 1}})
    given = read_options({"ttl": 7, "meta": {}})

    assert given.over(defaults) == JobOptions(
        ttl_ms=7_000, description="d", at_front=True, meta={}, retry=Retry(2)
    )
    assert given.over(NO_OPTIONS) is given
    assert given.over(given) is given


def test_only_what_was_given_is_packed_for_the_worker() -> None:
    assert NO_OPTIONS.packed() == b""
    assert read_options({"ttl": 5, "failure_ttl": 5, "job_id": "a", "meta": {"a": 1}}).packed() == b""
    assert json.loads(read_options({"result_ttl": 0, "job_timeout": -1, "retry": 1}).packed()) == {
        "timeout": -1,
        "result_ttl": 0,
        "retry": {"max": 1},
    }


def test_a_description_of_any_text_is_packed_as_plain_bytes() -> None:
    text = "naïve \ud800 \x00 \u2028"

    assert json.loads(read_options({"description": text}).packed()) == {"description": text}


@pytest.mark.parametrize("value", ["no", 0, 1, "True", []])
def test_at_front_is_true_or_false(value: Any) -> None:
    with pytest.raises(TypeError, match=r"at_front=.*expected True or False"):
        read_options({"at_front": value})
