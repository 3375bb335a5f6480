"""The moments of cron expressions, over the ends of months and of summer time."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from aioq.values.cron import check_cron, next_moment_ms
from aioq.values.errors import InvalidInput, InvalidType

BERLIN = "Europe/Berlin"


def ms(text: str, zone: str = "UTC", fold: int = 0) -> int:
    return round(1000 * datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone), fold=fold).timestamp())


def after(expression: str, zone: str, begin: int, count: int) -> list[str]:
    """The next moments, by the clocks of Berlin."""
    found = []

    for _ in range(count):
        begin = next_moment_ms(expression, zone, begin) or 0
        found.append(f"{datetime.fromtimestamp(begin / 1000, ZoneInfo(BERLIN)):%d %H:%M%z}")

    return found


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("0 3 * * *", "2024-02-28T03:00:00"),
        ("@daily", "2024-02-29T00:00:00"),
        (" @Hourly ", "2024-02-28T01:00:00"),
        ("0 0 L * *", "2024-02-29T00:00:00"),
        ("*/15 * * * *", "2024-02-28T00:15:00"),
        ("30 0 0 1 * *", "2024-03-01T00:00:30"),
        ("0 9 * * mon-fri", "2024-02-28T09:00:00"),
        ("0 0 29 2 *", "2024-02-29T00:00:00"),
    ],
)
def test_the_next_moment(expression: str, expected: str) -> None:
    assert next_moment_ms(expression, "UTC", ms("2024-02-28T00:00:00")) == ms(expected)


def test_the_next_moment_is_later_than_the_one_before_it() -> None:
    begin = ms("2024-02-28T03:00:00")

    assert next_moment_ms("0 3 * * *", "UTC", begin - 1) == begin
    assert next_moment_ms("0 3 * * *", "UTC", begin) == ms("2024-02-29T03:00:00")
    assert next_moment_ms("0 3 * * *", "UTC", begin + 999) == ms("2024-02-29T03:00:00")


def test_a_time_zone_is_that_of_the_expression() -> None:
    assert next_moment_ms("0 3 * * *", BERLIN, ms("2024-01-10T00:00:00")) == ms("2024-01-10T02:00:00")
    assert next_moment_ms("0 3 * * *", BERLIN, ms("2024-07-10T00:00:00")) == ms("2024-07-10T01:00:00")


def test_a_moment_that_the_clocks_skip_comes_right_after_the_gap() -> None:
    """On 31 March 2024, two o'clock is followed by three."""
    begin = ms("2024-03-30T12:00:00")

    assert after("30 2 * * *", BERLIN, begin, 2) == ["31 03:00+0200", "01 02:30+0200"]
    assert after("10,40 2 * * *", BERLIN, begin, 2) == ["31 03:00+0200", "01 02:10+0200"]


def test_each_hour_comes_where_the_clocks_skip_one() -> None:
    begin = ms("2024-03-31T00:30:00", BERLIN)

    assert after("0 * * * *", BERLIN, begin, 3) == ["31 01:00+0100", "31 03:00+0200", "31 04:00+0200"]


def test_a_moment_in_the_hour_that_comes_twice_comes_once() -> None:
    """On 27 October 2024, the hour from two to three comes twice."""
    begin = ms("2024-10-26T12:00:00")

    assert after("30 2 * * *", BERLIN, begin, 2) == ["27 02:30+0200", "28 02:30+0100"]


@pytest.mark.parametrize("minute", ["02:05:00", "02:30:00", "02:55:00"])
def test_nor_does_it_come_again_for_a_run_that_ends_in_the_second_of_these_hours(minute: str) -> None:
    begin = ms(f"2024-10-27T{minute}", BERLIN, fold=1)

    assert after("30 2 * * *", BERLIN, begin, 1) == ["28 02:30+0100"]


def test_each_half_an_hour_comes_four_times_in_these_hours() -> None:
    begin = ms("2024-10-27T01:45:00", BERLIN)

    assert after("*/30 * * * *", BERLIN, begin, 4) == [
        "27 02:00+0200", "27 02:30+0200", "27 02:00+0100", "27 02:30+0100",
    ]  # fmt: skip


@pytest.mark.parametrize(
    "expression", ["", "* * * *", "60 * * * *", "0 0 31 2 *", "every day", "@never", "0 25 * * *", "* * * * * * *"]
)
def test_an_expression_that_is_none_is_refused(expression: str) -> None:
    with pytest.raises(InvalidInput, match=r"^Repeat\(cron='.*'\): "):
        check_cron(expression, "UTC", "Repeat")


def test_an_expression_without_any_moment_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cronsim.CronSim.__next__", lambda _: next(iter(())))

    with pytest.raises(InvalidInput, match="has none"):
        check_cron("0 3 * * *", "UTC", "Repeat")


@pytest.mark.parametrize(
    "zone", ["", "Berlin", "../etc/passwd", "Europe", "Europe/Berlin ", "\0", "/etc/localtime"]
)
def test_a_time_zone_that_is_none_is_refused(zone: str) -> None:
    with pytest.raises(InvalidInput, match=r"^Repeat\(timezone="):
        check_cron("0 3 * * *", zone, "Repeat")


def test_what_is_no_text_is_refused() -> None:
    with pytest.raises(InvalidType, match=r"^Repeat\(cron=5\): expected a text"):
        check_cron(5, "UTC", "Repeat")  # type: ignore[arg-type]

    with pytest.raises(InvalidType, match=r"^Repeat\(timezone=.*utc.*\): expected a text"):
        check_cron("0 3 * * *", UTC, "Repeat")  # type: ignore[arg-type]


def test_without_cronsim_the_error_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cronsim", None)

    with pytest.raises(InvalidInput, match='pip install "cronsim>='):
        check_cron("0 3 * * *", "UTC", "Repeat")
