"""Statistics of a queue: which periods a window has, and what follows from their figures."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from aioq.errors import InvalidInput
from aioq.values.statistics import (
    Backlog,
    QueueStatistics,
    check_step,
    check_window,
    periods_of,
    window_of,
)

MINUTE, HOUR, DAY = 60_000, 3_600_000, 86_400_000

#: 20 s after a full hour.
NOW = 495_873 * HOUR + 20_000


def made(found: dict[int, dict[str, int]], waiting: int = 0, added: int = 0, **window: Any) -> QueueStatistics:
    step = window.pop("step", "minute")
    chosen = window_of(step, window.get("since"), window.get("until"), NOW)
    now = datetime.fromtimestamp(NOW / 1000, UTC)
    periods = periods_of(chosen, found, NOW, added)
    return QueueStatistics(step, now, periods, Backlog(waiting, 0, 0, 1, None))


def test_a_window_has_all_its_periods_and_the_last_one_may_not_have_ended() -> None:
    hour = made({})
    assert len(hour.periods) == 61
    assert [each.seconds for each in hour.periods[-2:]] == [60, 20]
    assert len(made({}, since="30d", step="hour").periods) == 30 * 24 + 1
    assert made({}, since=5).periods[0].start == datetime.fromtimestamp(NOW // MINUTE * MINUTE / 1000, UTC)


def test_nothing_is_asked_for_that_is_not_kept_or_has_not_come() -> None:
    window = window_of("minute", "90d", datetime.now(UTC) + timedelta(days=99_999), NOW)
    assert (window.since_ms, window.until_ms) == (NOW - DAY, NOW)
    assert len(window.pages) == 26  # the hours of a day that does not begin with one, and what is before
    assert len(window_of("hour", "90d", None, NOW).pages) <= 32


@pytest.mark.parametrize("value", [-1, 0, "soon", True, None.__class__])
def test_what_is_no_point_in_time_is_refused_by_its_name(value: Any) -> None:
    with pytest.raises(InvalidInput, match="since="):
        check_window(value, None)


def test_a_window_that_ends_before_it_begins_and_an_unknown_step_are_refused() -> None:
    with pytest.raises(InvalidInput, match="expected a moment before until='1h'"):
        window_of("minute", "1m", "1h", NOW)

    with pytest.raises(InvalidInput, match='step=\'day\': expected "minute" or "hour"'):
        check_step("day")


def test_what_arrived_is_the_difference_of_two_samples() -> None:
    first = NOW // MINUTE * MINUTE - 3 * MINUTE
    # Nobody looked in the second minute. The lanes were dropped in the third one, and counted anew.
    found = {first: {"added": 100}, first + 2 * MINUTE: {"added": 130}, first + 3 * MINUTE: {"added": 7}}
    statistics = made(found, added=9, since="3m")
    assert [each.arrived for each in statistics.periods] == [30, None, 7, 2]
    assert statistics.total.arrived == 39
    assert made({first: {"added": 100}}, added=-1, since="3m").total.arrived is None


def test_a_total_adds_what_was_counted_and_keeps_the_most_of_what_was_sampled() -> None:
    start = NOW // MINUTE * MINUTE
    total = made(
        {
            start - MINUTE: {"finished": 5, "w20": 2, "waiting": 9, "age_ms": 1500, "run_ms": 700},
            start: {"finished": 2, "w20": 1, "w31": 1, "waiting": 3, "age_ms": 10},
        }
    ).total
    assert (total.finished, total.wait.counts, total.waiting, total.oldest_age) == (7, {20: 3, 31: 1}, 9, 1.5)
    assert (total.run_seconds, total.seconds, total.per_second(7)) == (0.7, 3620, 7 / 3620)
    assert made({}).total.waiting is None


def test_when_a_queue_will_be_empty() -> None:
    start = NOW // MINUTE * MINUTE - 2 * MINUTE
    assert made({start: {"waiting": 100}}, waiting=0).empty_in == 0
    assert made({start: {"waiting": 100}}, waiting=30).empty_in == pytest.approx(30 * 140 / 70)
    assert made({start: {"waiting": 20}}, waiting=30).empty_in is None
    assert made({start - 15 * MINUTE: {"waiting": 100}}, waiting=30).empty_in is None  # too long ago
    assert made({}, waiting=30, step="hour").empty_in is None
