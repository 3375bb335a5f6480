"""Where outcomes wait until they are recorded. No server is needed."""

from __future__ import annotations

import pytest

from aioq.store import Connection, Store
from aioq.values.claim import Claim
from aioq.values.outcome import Failed, Finished, Interrupted
from aioq.values.record import JobRecord
from aioq.worker.demand import JOBS_PER_ROUND_TRIP, Demand, Limits
from aioq.worker.large_outcomes import LARGE_BYTES, LargeOutcomes
from aioq.worker.outcomes import Outcomes
from aioq.worker.route import Ended, Route
from aioq.worker.run import Run

#: Nothing listens here.
URL = "redis://127.0.0.1:1"

DONE = Finished(b"1", 1000, b"")


class Bench:
    """Two queues, and the outcomes of their runs."""

    def __init__(self) -> None:
        connection = Connection(URL)
        self.routes = [Route(connection, Store(connection, name), "w", 5_000) for name in ("a", "b")]
        self.demand = Demand(10, Limits(jobs_left=5))
        self.outcomes = Outcomes(self.routes, self.demand, LargeOutcomes(connection.sibling()))
        self.number = 0

    def run(self, route: int = 0) -> Run:
        self.number += 1

        return Run(self.routes[route].store, Claim(JobRecord(str(self.number), {}), 1))

    def put(self, size: int = 1, route: int = 0) -> Run:
        run = self.run(route)
        self.outcomes.put(run, Finished(b"x" * size, 1000, b""))

        return run


@pytest.fixture
def bench() -> Bench:
    return Bench()


def runs_of(ended: list[Ended]) -> list[Run]:
    return [run for run, _ in ended]


def test_a_batch_has_the_outcomes_of_each_queue(bench: Bench) -> None:
    runs = [bench.put(route=number % 2) for number in range(4)]
    batch = bench.outcomes.next_batch()
    assert [runs_of(batch[route.store]) for route in bench.routes] == [runs[::2], runs[1::2]]
    assert bench.outcomes.small == []
    assert bench.demand.changed.is_set(), "the courier hears that there is something to send"


def test_a_batch_is_bounded_in_number(bench: Bench) -> None:
    runs = [bench.put() for _ in range(JOBS_PER_ROUND_TRIP + 3)]
    assert runs_of(bench.outcomes.next_batch()[bench.routes[0].store]) == runs[:JOBS_PER_ROUND_TRIP]
    assert runs_of(bench.outcomes.small) == runs[JOBS_PER_ROUND_TRIP:]


def test_a_batch_is_bounded_in_bytes_and_small_outcomes_pass_large_ones(bench: Bench) -> None:
    first, too_large, small = bench.put(LARGE_BYTES - 10), bench.put(11), bench.put(5)
    assert runs_of(bench.outcomes.next_batch()[bench.routes[0].store]) == [first, small]
    assert runs_of(bench.outcomes.small) == [too_large]


def test_the_first_outcome_goes_whatever_its_size(bench: Bench) -> None:
    run = bench.run()
    bench.outcomes.put(run, Failed("x" * (2 * LARGE_BYTES)))
    assert runs_of(bench.outcomes.next_batch()[bench.routes[0].store]) == [run]


def test_a_large_result_goes_alone(bench: Bench) -> None:
    run = bench.put(LARGE_BYTES + 1)
    assert bench.outcomes.small == []
    assert runs_of(list(bench.outcomes.large.waiting)) == [run]
    assert runs_of(bench.outcomes.of(bench.routes[0])) == [run]


def test_what_a_lost_reply_was_about_is_sent_again_and_first(bench: Bench) -> None:
    first = bench.put()
    batch = bench.outcomes.next_batch()
    second = bench.put()
    bench.outcomes.put_back(batch)
    assert runs_of(bench.outcomes.small) == [first, second]


def test_a_job_that_goes_back_unbegun_counts_for_no_limit(bench: Bench) -> None:
    bench.demand.count(2)
    bench.outcomes.put(bench.run(), Interrupted(begun=True))
    assert (bench.demand.claimed, bench.demand.limits.jobs_left) == (2, 3)
    bench.outcomes.put(bench.run(), Interrupted(begun=False))
    assert (bench.demand.claimed, bench.demand.limits.jobs_left) == (1, 4)


def test_a_run_of_which_nothing_is_recorded_only_wakes_the_courier(bench: Bench) -> None:
    bench.outcomes.put(bench.run(), None)
    assert bench.outcomes.small == []
    assert bench.demand.changed.is_set()


def test_outcomes_of_a_queue_that_is_set_aside_wait_with_it(bench: Bench) -> None:
    aside, served = bench.routes
    unsent, other, sent = bench.put(), bench.put(route=1), bench.run()
    bench.outcomes.set_aside(aside, [(sent, DONE)])
    later, large = bench.put(), bench.put(LARGE_BYTES + 1)
    assert runs_of(bench.outcomes.small) == [other]
    assert runs_of(aside.waiting or []) == [sent, unsent, later, large]
    assert not bench.outcomes.large.waiting
    assert runs_of(bench.outcomes.of(aside)) == [sent, unsent, later, large]
    assert runs_of(bench.outcomes.of(served)) == [other]


def test_what_another_round_trip_brings_back_waits_with_it_too(bench: Bench) -> None:
    run = bench.put()
    batch = bench.outcomes.next_batch()
    bench.outcomes.set_aside(bench.routes[0], [])
    bench.outcomes.put_back(batch)
    assert (runs_of(bench.routes[0].waiting or []), bench.outcomes.small) == ([run], [])


def test_when_the_queue_is_served_again_its_outcomes_go(bench: Bench) -> None:
    aside = bench.routes[0]
    bench.outcomes.set_aside(aside, [])
    small, large = bench.put(), bench.put(LARGE_BYTES + 1)
    bench.outcomes.serve_again(aside)
    assert not aside.is_aside
    assert runs_of(bench.outcomes.small) == [small]
    assert runs_of(list(bench.outcomes.large.waiting)) == [large]
