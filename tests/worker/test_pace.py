from __future__ import annotations

import time

import pytest

from aioq.worker.pace import AHEAD, FEW, WINDOW, Pace


@pytest.fixture
def at(monkeypatch: pytest.MonkeyPatch):
    """Sets the clock that the pace is taken by."""

    def set_to(moment: float) -> None:
        monkeypatch.setattr(time, "monotonic", lambda: moment)

    set_to(100.0)

    return set_to


def test_nothing_is_claimed_ahead_before_a_pace_is_known(at) -> None:
    assert Pace(100).ahead == 0


def test_as_many_are_claimed_ahead_as_would_begin_within_the_time(at) -> None:
    pace = Pace(1000)
    at(101.0)
    pace.note(10_000)
    assert pace.ahead == 10_000 * AHEAD

    at(102.0)
    pace.note(10_100)
    assert pace.ahead == 2


def test_no_more_are_claimed_ahead_than_run(at) -> None:
    pace = Pace(100)
    at(101.0)
    pace.note(1_000_000)
    assert pace.ahead == 100


def test_slow_jobs_are_not_claimed_ahead(at) -> None:
    pace = Pace(100)
    at(110.0)
    pace.note(100)
    assert pace.ahead == 0


def test_a_pace_is_not_taken_from_too_short_a_while(at) -> None:
    pace = Pace(100)
    at(100.0 + WINDOW / 2)
    pace.note(1000)
    assert pace.ahead == 0


def test_a_worker_with_few_slots_keeps_the_order(at) -> None:
    pace = Pace(FEW - 1)
    at(101.0)
    pace.note(1_000_000)
    assert pace.ahead == 0


def test_what_ends_during_a_round_trip_is_claimed_ahead_too(at) -> None:
    pace = Pace(1000)

    for _ in range(100):
        pace.note_trip(0.03)

    at(101.0)
    pace.note(10_000)
    assert pace.ahead == pytest.approx(10_000 * (AHEAD + 0.03), abs=1)


def test_one_slow_trip_says_little(at) -> None:
    pace = Pace(1000)
    pace.note_trip(0.03)
    at(101.0)
    pace.note(10_000)
    assert pace.ahead < 10_000 * (AHEAD + 0.01)
