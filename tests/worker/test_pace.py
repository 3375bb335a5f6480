from __future__ import annotations

import time

import pytest

from aioq.worker.pace import CLAIMED_AHEAD_BEGIN_S, CLAIMING_AHEAD_MIN_SLOTS, PACE_WINDOW_S, Pace


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
    pace.note_ended(10_000)
    assert pace.ahead == 10_000 * CLAIMED_AHEAD_BEGIN_S

    at(102.0)
    pace.note_ended(10_100)
    assert pace.ahead == 2


def test_no_more_are_claimed_ahead_than_run(at) -> None:
    pace = Pace(100)
    at(101.0)
    pace.note_ended(1_000_000)
    assert pace.ahead == 100


def test_slow_jobs_are_not_claimed_ahead(at) -> None:
    pace = Pace(100)
    at(110.0)
    pace.note_ended(100)
    assert pace.ahead == 0


def test_a_pace_is_not_taken_from_too_short_a_while(at) -> None:
    pace = Pace(100)
    at(100.0 + PACE_WINDOW_S / 2)
    pace.note_ended(1000)
    assert pace.ahead == 0


def test_a_worker_with_few_slots_keeps_the_order(at) -> None:
    pace = Pace(CLAIMING_AHEAD_MIN_SLOTS - 1)
    at(101.0)
    pace.note_ended(1_000_000)
    assert pace.ahead == 0


def test_what_ends_during_a_round_trip_is_claimed_ahead_too(at) -> None:
    pace = Pace(1000)

    for _ in range(100):
        pace.note_round_trip(0.03)

    at(101.0)
    pace.note_ended(10_000)
    assert pace.ahead == pytest.approx(10_000 * (CLAIMED_AHEAD_BEGIN_S + 0.03), abs=1)


def test_one_slow_round_trip_says_little(at) -> None:
    pace = Pace(1000)
    pace.note_round_trip(0.03)
    at(101.0)
    pace.note_ended(10_000)
    assert pace.ahead < 10_000 * (CLAIMED_AHEAD_BEGIN_S + 0.01)
