"""Whether a worker may claim, judged by the answers to its heartbeats."""

from __future__ import annotations

from aioq.worker.health import BEATS_TO_RECOVER, LAPSES_WITHIN_S, Health

LEASE_S = 5.0
INTERVAL_S = 2.0


class Worker:
    """A worker whose clock the test moves."""

    def __init__(self) -> None:
        self.now = 100.0
        self.health = Health(lambda: self.now, LEASE_S)

    def beat(self, after: float = INTERVAL_S, *, lapsed: bool = False, answer: float = 0.0) -> bool:
        """A beat is sent after so many seconds, and answered after some more; whether it may claim then."""
        self.now += after
        sent, self.now = self.now, self.now + answer
        self.health.beaten(sent, lapsed=lapsed)

        return self.health.may_claim


def test_a_worker_that_has_just_joined_may_claim() -> None:
    assert Worker().health.may_claim


def test_beats_in_time_keep_it_so() -> None:
    worker = Worker()
    assert all(worker.beat() for _ in range(20))


def test_a_missed_beat_changes_nothing() -> None:
    worker = Worker()
    assert worker.beat(2 * INTERVAL_S)


def test_without_an_answer_for_a_lease_it_may_not_claim_until_there_is_one() -> None:
    worker = Worker()
    worker.now += LEASE_S
    assert worker.health.may_claim
    worker.now += 0.1
    assert not worker.health.may_claim
    assert not worker.health.is_distrusted
    assert worker.beat(1)  # the server was away: nobody has lapsed


def test_one_lapse_is_forgiven_at_once() -> None:
    worker = Worker()
    assert worker.beat(6, lapsed=True)


def test_after_two_lapses_three_beats_in_a_row_are_asked_for() -> None:
    worker = Worker()
    worker.beat(6, lapsed=True)
    assert not worker.beat(6, lapsed=True)
    assert worker.health.is_distrusted
    assert worker.health.has_lease
    assert [worker.beat() for _ in range(BEATS_TO_RECOVER)] == [False, False, True]


def test_a_late_beat_begins_the_row_anew() -> None:
    worker = Worker()
    worker.beat(6, lapsed=True)
    worker.beat(6, lapsed=True)
    assert not worker.beat()
    assert not worker.beat()
    assert not worker.beat(6)
    assert [worker.beat() for _ in range(3)] == [False, False, True]


def test_the_third_lapse_counts_like_the_second() -> None:
    worker = Worker()
    worker.beat(6, lapsed=True)
    worker.beat(6, lapsed=True)
    assert any(worker.beat() for _ in range(5))
    assert not worker.beat(6, lapsed=True)


def test_lapses_far_apart_are_forgiven() -> None:
    worker = Worker()

    for _ in range(4):
        assert worker.beat(6, lapsed=True)

        for _ in range(int(LAPSES_WITHIN_S / INTERVAL_S) + 1):
            worker.beat()


def test_a_lapse_of_a_worker_that_stood_still_is_none() -> None:
    """Its clock has not moved meanwhile: it could not have beaten."""
    worker = Worker()
    assert all(worker.beat(0.1, lapsed=True) for _ in range(10))


def test_a_server_that_has_lost_its_data_is_no_lapse() -> None:
    worker = Worker()
    assert all(worker.beat(lapsed=True) for _ in range(10))


def test_answers_that_come_after_the_lease_are_lapses_too() -> None:
    worker = Worker()
    worker.beat(2, lapsed=True, answer=4)
    assert not worker.beat(0, lapsed=True, answer=6)


def test_a_claim_may_be_told_before_a_beat_and_both_count_once() -> None:
    worker = Worker()
    worker.now += 6
    worker.health.lapsed()
    worker.health.lapsed()
    assert worker.beat(0)  # the worker has joined again meanwhile: this beat was told nothing
    worker.health.lapsed()
    assert worker.health.may_claim
    worker.now += 6
    worker.health.lapsed()
    assert not worker.beat(1, lapsed=True)
    assert worker.health.is_distrusted
