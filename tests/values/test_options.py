from __future__ import annotations

import json
from types import MappingProxyType
from typing import Any

import pytest

from aioq.values.errors import InvalidInput
from aioq.values.options import NO_OPTIONS, OPTION_NAMES, JobOptions, read_options, seconds
from aioq.values.retry import Retry


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

    assert options == JobOptions(300_000, 0, 50, -1, "count", "a-1", at_front=True, meta={"a": 1}, retry=Retry(3))


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


def test_milliseconds_are_shown_as_seconds() -> None:
    assert seconds(None) is None
    assert seconds(-1) == -1
    assert seconds(50) == 0.05


@pytest.mark.parametrize("value", ["no", 0, 1, "True", []])
def test_at_front_is_true_or_false(value: Any) -> None:
    with pytest.raises(TypeError, match=r"at_front=.*expected True or False"):
        read_options({"at_front": value})
