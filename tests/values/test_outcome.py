from __future__ import annotations

import pytest

from aioq.values.outcome import Again, decide
from aioq.values.retry import Retry
from aioq.values.retrying import NO_ATTEMPT_LEFT

LATE = "the next attempt would begin after the deadline"


def plan(
    error: BaseException, attempt: int, retry: Retry | None, chance: float = 0.5, spent_ms: float = 0
) -> Again | str:
    return decide(error, attempt, retry, chance, lambda: spent_ms)


def test_no_attempt_follows_without_a_policy() -> None:
    assert plan(KeyError(), 1, None, 0.5) == ""


@pytest.mark.parametrize(("attempt", "retried"), [(0, True), (1, True), (2, True), (3, False), (100, False)])
def test_a_policy_gives_as_many_further_attempts_as_it_says(attempt: int, retried: bool) -> None:
    found = plan(KeyError(), attempt, Retry(2), 0.5)

    assert found == (Again(0, False, 0) if retried else NO_ATTEMPT_LEFT)


def test_an_exception_that_the_policy_leaves_out_fails_at_once() -> None:
    assert plan(KeyError(), 1, Retry(5, on=OSError), 0.5) == "its Retry is for other errors"


def test_the_pause_and_the_lane_come_from_the_policy() -> None:
    policy = Retry(5, [1, 2], jitter="full", at_front=True)

    assert plan(KeyError(), 2, policy, 0.25) == Again(500, True, 0)


@pytest.mark.parametrize(("spent_ms", "retried"), [(0, True), (9_000, True), (9_001, False), (10**12, False)])
def test_no_attempt_begins_after_the_deadline(spent_ms: int, retried: bool) -> None:
    found = plan(KeyError(), 7, Retry(interval=1, within=10), 0.5, spent_ms)

    assert found == (Again(1_000, False, 10_000) if retried else LATE)


def test_the_deadline_and_the_number_both_hold() -> None:
    assert plan(KeyError(), 2, Retry(1, within=10), 0.5, 0) == NO_ATTEMPT_LEFT
    assert plan(KeyError(), 1, Retry(1, within=10), 0.5, 10_001) == LATE


def test_what_a_function_asks_for_goes_before_the_job_s_policy_and_before_its_own_choice_of_errors() -> None:
    asked = Retry(2, 1, on=OSError)

    assert plan(asked, 1, None, 0.5) == Again(1000, False, 0)
    assert plan(asked, 2, Retry(1), 0.5) == Again(1000, False, 0)
    assert plan(asked, 3, Retry(9), 0.5) == NO_ATTEMPT_LEFT


def test_the_bounds_that_a_function_leaves_out_are_those_of_the_job() -> None:
    asked, own = Retry(interval=5), Retry(2, interval=60, within=30, at_front=True)

    assert plan(asked, 2, own, 0.5, 20_000) == Again(5_000, False, 30_000)
    assert plan(asked, 3, own, 0.5) == NO_ATTEMPT_LEFT
    assert plan(asked, 1, own, 0.5, 26_000) == LATE
    assert plan(Retry(9), 3, own, 0.5) == Again(0, False, 30_000)
    assert plan(Retry(9, within="1h"), 3, own, 0.5, 60_000) == Again(0, False, 3_600_000)


def test_a_function_without_bounds_and_without_a_policy_is_not_run_for_ever() -> None:
    assert plan(Retry(interval=5), 1, None, 0.5) == "neither it nor the retry of the job has a max or a deadline"
