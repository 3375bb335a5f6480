"""Repeat: when a job runs again, and what is refused."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from aioq import Repeat
from aioq.values.errors import InvalidInput, InvalidType, TimeoutFormatError
from aioq.values.options import NO_OPTIONS, read_options, unpack_options
from aioq.values.repeat import MARK, is_series, shown_series

UNTIL = datetime(2030, 1, 1, tzinfo=UTC)
UNTIL_MS = round(1000 * UNTIL.timestamp())


def test_times_counts_the_runs_after_the_first() -> None:
    repeat = Repeat(times=2)

    assert [repeat.due_ms(repeats, 1000) for repeats in range(4)] == [1000, 1000, None, None]


def test_the_last_interval_repeats() -> None:
    repeat = Repeat(4, ["1s", timedelta(seconds=5)])

    assert [repeat.due_ms(repeats, 1000) for repeats in range(5)] == [2000, 6000, 6000, 6000, None]


def test_no_run_is_due_later_than_until() -> None:
    repeat = Repeat(until=UNTIL, interval=60)

    assert repeat.due_ms(1000, UNTIL_MS - 60_000) == UNTIL_MS
    assert repeat.due_ms(1000, UNTIL_MS - 59_999) is None


def test_whatever_comes_first_ends_the_series() -> None:
    repeat = Repeat(3, 60, until=UNTIL)

    assert repeat.due_ms(2, 0) == 60_000
    assert repeat.due_ms(3, 0) is None
    assert repeat.due_ms(2, UNTIL_MS) is None


def test_the_moments_of_an_expression_that_pass_during_a_run_are_left_out() -> None:
    repeat = Repeat(9, cron="*/10 * * * *")

    assert repeat.due_ms(0, 25 * 60_000, 10 * 60_000) == 30 * 60_000


def test_a_moment_of_an_expression_comes_once_though_a_clock_is_behind() -> None:
    repeat = Repeat(9, cron="*/10 * * * *")

    assert repeat.due_ms(0, 10 * 60_000 - 5, 10 * 60_000) == 20 * 60_000


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ({}, "expected times= or until="),
        ({"times": 0}, r"Repeat\(times=0\): expected a whole number of at least 1"),
        ({"times": -1}, r"Repeat\(times=-1\)"),
        ({"times": True}, r"Repeat\(times=True\)"),
        ({"times": 2.5}, r"Repeat\(times=2.5\)"),
        ({"times": "3"}, r"Repeat\(times='3'\)"),
        ({"times": 1, "interval": -1}, r"Repeat\(interval\)=-1: expected a duration of 0 or more"),
        ({"times": 1, "interval": [1, -1]}, r"Repeat\(interval\)=-1"),
        ({"times": 1, "interval": []}, r"Repeat\(interval=\[\]\): expected at least one"),
        ({"times": 1, "interval": 0, "cron": "nonsense"}, r"Repeat\(cron='nonsense'\)"),
        ({"times": 1, "interval": 1, "cron": "* * * * *"}, "expected one of the two"),
        ({"times": 1, "timezone": "UTC"}, "expected cron= beside it"),
        ({"times": 1, "cron": "* * * * *", "timezone": "Mars"}, r"Repeat\(timezone='Mars'\)"),
        ({"until": UNTIL}, r"expected interval= or cron="),
        ({"times": 1, "on_failure": "ignore"}, "expected one of 'stop', 'continue'"),
    ],
)
def test_what_cannot_be_used_is_refused(given: dict[str, Any], text: str) -> None:
    with pytest.raises(InvalidInput, match=text):
        Repeat(**given)


def test_values_of_other_types_are_refused() -> None:
    with pytest.raises(InvalidType, match=r"^Repeat\(until\)='2030-01-01': expected a datetime, not str"):
        Repeat(interval=1, until="2030-01-01")  # type: ignore[arg-type]

    with pytest.raises(TimeoutFormatError, match=r"^Repeat\(interval\)='soon'"):
        Repeat(1, "soon")

    with pytest.raises(InvalidType, match=r"^repeat=3: expected a Repeat"):
        read_options({"repeat": 3})  # type: ignore[typeddict-item]

    assert read_options({"repeat": None}) == NO_OPTIONS


RULES = [
    Repeat(1),
    Repeat(3, [0, 2.5]),
    Repeat(until=UNTIL, interval=1),
    Repeat(2, cron="0 3 * * *", timezone="Europe/Berlin", on_failure="continue"),
]


@pytest.mark.parametrize("rule", RULES)
def test_it_is_stored_and_read_again(rule: Repeat) -> None:
    packed = read_options({"repeat": rule}).packed()
    stored, damage = unpack_options(packed)

    assert not damage
    assert MARK in packed
    assert Repeat.from_dict(stored["repeat"]) == rule


def test_what_users_write_never_looks_like_a_rule() -> None:
    assert MARK not in read_options({"description": '"repeat":{"times":1}'}).packed()


@pytest.mark.parametrize(
    "stored",
    [{}, {"times": "3"}, {"times": 1, "interval_ms": []}, {"times": 1, "interval_ms": [-5]}, {"times": True},
     {"times": 1, "cron": 5}, {"times": 1, "on_failure": "x"}, {"until_ms": 1.5}],
)  # fmt: skip
def test_damage_is_seen(stored: dict[str, Any]) -> None:
    assert not is_series(stored)
    assert unpack_options(json.dumps({"repeat": stored}).encode())[1]


def test_it_is_shown_as_users_write_it() -> None:
    assert shown_series(Repeat(2, 1).to_dict()) == {"times": 2, "interval_ms": [1000]}
    assert shown_series(RULES[2].to_dict())["until"] == "2030-01-01T00:00:00+00:00"
