from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aioq.values.durations import (
    FOREVER,
    LONGEST_MS,
    is_duration,
    limit_ms,
    pause_ms,
    positive_ms,
    retention_ms,
    seconds,
    spelled,
    to_ms,
    whole_seconds,
)
from aioq.values.errors import InvalidInput, TimeoutFormatError

UNITS = {"ms": 1, "s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000, "w": 604_800_000}


@pytest.mark.parametrize(
    ("value", "ms"),
    [
        (0, 0),
        (1, 1_000),
        (0.05, 50),
        (0.0004, 1),
        (1.0005, 1_000),
        (-1, -1_000),
        (timedelta(seconds=2.5), 2_500),
        (timedelta(microseconds=1), 1),
        ("43", 43_000),
        ("0", 0),
        ("-1", -1_000),
        ("0.05", 50),
        ("90s", 90_000),
        ("1h30m", 5_400_000),
        ("1H30M", 5_400_000),
        (" 1h 30m ", 5_400_000),
        ("1 h 30 m", 5_400_000),
        ("2D", 172_800_000),
        ("1w", 604_800_000),
        ("250ms", 250),
        ("1m250ms", 60_250),
        ("1.5h", 5_400_000),
    ],
)
def test_a_duration_is_read_in_every_form(value: float | str | timedelta, ms: int) -> None:
    assert to_ms(value, "ttl") == ms


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "abc",
        "h",
        "1x",
        "1h30",
        "30 1h",
        "1 0",
        "1h-30m",
        "--1",
        "1e3",
        "1_000",
        ".",
        "5\u017f",
        "nan",
        "inf",
    ],
)
def test_a_text_that_is_no_duration_is_refused_by_name(text: str) -> None:
    with pytest.raises(TimeoutFormatError, match=r"^ttl="):
        to_ms(text, "ttl")


@pytest.mark.parametrize("value", [True, False, None, b"1", [1], Decimal(1), 1j])
def test_a_value_of_another_type_is_refused_by_name(value: object) -> None:
    with pytest.raises(TypeError, match=r"^ttl="):
        to_ms(value, "ttl")


@pytest.mark.parametrize(
    "value",
    [
        float("nan"),
        float("inf"),
        -float("inf"),
        10**400,
        1e300,
        "9" * 400,
        "9" * 300 + "w",
        timedelta.max,
        "200000w",
    ],
)
def test_a_duration_beyond_what_a_server_can_count_is_refused(value: float | str | timedelta) -> None:
    with pytest.raises(TimeoutFormatError, match=r"^ttl="):
        to_ms(value, "ttl")


def test_the_longest_duration_is_a_hundred_years() -> None:
    assert to_ms(LONGEST_MS / 1000, "ttl") == LONGEST_MS == to_ms("36500d", "ttl")

    with pytest.raises(TimeoutFormatError):
        to_ms(LONGEST_MS / 1000 + 1, "ttl")


@pytest.mark.parametrize("value", [0, -1, -0.0001, "0", timedelta(0), timedelta(seconds=-5), "-3"])
def test_a_duration_that_must_be_positive_is_not_0_or_less(value: float | str | timedelta) -> None:
    with pytest.raises(InvalidInput, match="greater than 0"):
        positive_ms(value, "ttl")


@pytest.mark.parametrize("value", [-1, -1.0, "-1", timedelta(seconds=-1)])
def test_minus_one_means_without_end_in_every_form(value: float | str | timedelta) -> None:
    assert limit_ms(value, "job_timeout") == FOREVER
    assert retention_ms(value, "result_ttl") == FOREVER


def test_a_retention_may_be_0_and_a_limit_may_not() -> None:
    assert retention_ms(0, "result_ttl") == 0
    assert limit_ms("5m", "job_timeout") == 300_000

    with pytest.raises(InvalidInput):
        limit_ms(0, "job_timeout")


@pytest.mark.parametrize("value", [-2, -0.5, -0.001, -0.0001, "-2", timedelta(days=-1)])
def test_a_negative_retention_other_than_minus_one_is_refused(value: float | str | timedelta) -> None:
    with pytest.raises(InvalidInput, match="expected 0"):
        retention_ms(value, "result_ttl")


@given(st.floats(min_value=1e-9, max_value=LONGEST_MS / 1000))
def test_a_positive_duration_never_becomes_nothing(seconds: float) -> None:
    ms = to_ms(seconds, "ttl")

    assert ms >= 1
    assert abs(ms - seconds * 1000) <= 1


@given(st.lists(st.tuples(st.integers(0, 500), st.sampled_from(sorted(UNITS))), min_size=1, max_size=5))
def test_a_text_is_the_sum_of_its_parts(parts: list[tuple[int, str]]) -> None:
    text = "".join(f"{number}{unit}" for number, unit in parts)

    assert to_ms(text, "ttl") == sum(number * UNITS[unit] for number, unit in parts)


@given(st.text() | st.floats() | st.integers() | st.timedeltas() | st.none() | st.booleans())
def test_any_input_gives_a_bounded_duration_or_a_typed_error(value: object) -> None:
    for read in (to_ms, positive_ms, limit_ms, retention_ms):
        try:
            ms = read(value, "ttl")
        except (InvalidInput, TypeError) as error:
            assert str(error).startswith("ttl=")
        else:
            assert isinstance(ms, int)
            assert -LONGEST_MS <= ms <= LONGEST_MS


@pytest.mark.parametrize(
    ("seconds", "text"), [(1, "1 second"), (0, "0 seconds"), (0.3, "0.3 seconds"), (90, "90 seconds")]
)
def test_seconds_in_texts(seconds: float, text: str) -> None:
    assert spelled(seconds) == text


def test_a_pause_is_0_or_more() -> None:
    assert pause_ms(0, "delay") == 0
    assert pause_ms("5s", "delay") == 5_000

    with pytest.raises(InvalidInput, match=r"delay=-1: expected a duration of 0 or more"):
        pause_ms(-1, "delay")


def test_milliseconds_are_shown_as_seconds() -> None:
    assert [seconds(ms) for ms in (None, -1, 50, 5_000)] == [None, -1, 0.05, 5.0]
    assert [str(whole_seconds(ms)) for ms in (None, -1, 50, 5_000)] == ["None", "-1", "0.05", "5"]


@pytest.mark.parametrize("value", [True, 1.0, "5", None, -2, LONGEST_MS + 1])
def test_what_is_no_stored_duration(value: object) -> None:
    assert not is_duration(value)
    assert all(map(is_duration, (FOREVER, 0, LONGEST_MS)))
