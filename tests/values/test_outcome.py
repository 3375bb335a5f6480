from __future__ import annotations

import pytest

from aioq.values.outcome import Failed, Retried, decide
from aioq.values.retry import Retry, RetryRequested


def test_a_run_that_raised_without_a_policy_has_failed() -> None:
    assert decide(KeyError(), "trace", 1, None, 0.5) == Failed("trace")


@pytest.mark.parametrize(("attempt", "retried"), [(1, True), (2, True), (3, False), (100, False)])
def test_a_policy_gives_as_many_further_attempts_as_it_says(attempt: int, retried: bool) -> None:
    outcome = decide(KeyError(), "trace", attempt, Retry(2), 0.5)

    assert outcome == (Retried("trace", 0) if retried else Failed("trace"))


def test_an_exception_that_the_policy_leaves_out_fails_at_once() -> None:
    assert decide(KeyError(), "trace", 1, Retry(5, on=OSError), 0.5) == Failed("trace")


def test_the_pause_and_the_lane_come_from_the_policy() -> None:
    policy = Retry(5, [1, 2], jitter="full", at_front=True)

    assert decide(KeyError(), "trace", 2, policy, 0.25) == Retried("trace", 500, at_front=True)


def test_a_returned_policy_goes_before_the_job_s_and_before_its_own_choice_of_errors() -> None:
    error = RetryRequested(Retry(2, 1, on=OSError), 1)

    assert decide(error, "trace", 1, None, 0.5) == Retried("trace", 1000)
    assert decide(error, "trace", 2, Retry(1), 0.5) == Retried("trace", 1000)
    assert decide(error, "trace", 3, Retry(9), 0.5) == Failed("trace")
