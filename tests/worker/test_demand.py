"""How much a worker claims, and when it asks. No server is needed."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from aioq.store import Connection, Store
from aioq.values.claim import Claim
from aioq.values.record import JobRecord
from aioq.worker import demand as module
from aioq.worker.demand import JOBS_PER_ROUND_TRIP, Demand, Limits
from aioq.worker.route import Route
from aioq.worker.run import Run

#: Nothing listens here.
URL = "redis://127.0.0.1:1"


def route(name: str = "default") -> Route:
    connection = Connection(URL)

    return Route(connection, Store(connection, name), "w", 5_000)


def run_of(each: Route, job_id: str = "a") -> Run:
    return Run(each.store, Claim(JobRecord(job_id, {}), 1))


def demand_of(concurrency: int = 10, **limits: Any) -> Demand:
    return Demand(concurrency, Limits(**limits))


# How much


def test_as_many_jobs_are_claimed_as_there_are_free_slots() -> None:
    demand = demand_of(10)
    assert demand.room(held=0, unrecorded=0) == 10
    assert demand.room(held=4, unrecorded=0) == 6
    assert demand.room(held=12, unrecorded=0) == 0


def test_jobs_that_other_round_trips_have_asked_for_take_room() -> None:
    demand = demand_of(10)
    demand.asked = 7
    assert demand.room(held=1, unrecorded=0) == 2


def test_nothing_is_claimed_while_more_outcomes_wait_than_there_are_slots() -> None:
    demand = demand_of(10)
    assert demand.room(held=0, unrecorded=10) == 10
    assert demand.room(held=0, unrecorded=11) == 0


def test_nothing_is_claimed_after_a_stop() -> None:
    demand = demand_of(10)
    demand.stop()
    assert demand.room(held=0, unrecorded=0) == 0
    assert demand.changed.is_set(), "the courier hears of it"


def test_no_more_is_claimed_than_the_limit_of_jobs_leaves() -> None:
    demand = demand_of(10, jobs_left=5)
    demand.asked = 2
    assert demand.room(held=0, unrecorded=0) == 3
    demand.asked = 0
    demand.count(4)
    assert (demand.claimed, demand.room(held=4, unrecorded=0)) == (4, 1)
    demand.count(-1)  # a job that goes back before it has begun
    assert (demand.claimed, demand.room(held=3, unrecorded=0)) == (3, 2)


def test_a_pace_makes_room_for_jobs_that_are_claimed_ahead_but_for_no_more_than_the_slots() -> None:
    demand = demand_of(10)
    demand.pace.ahead = 5
    assert demand.room(held=10, unrecorded=0) == 5
    assert demand.room(held=0, unrecorded=0) == 10


def test_after_a_lost_reply_claims_are_smaller() -> None:
    demand = demand_of(1000)
    assert demand.room(held=0, unrecorded=0) == JOBS_PER_ROUND_TRIP
    demand.ask_for_fewer(JOBS_PER_ROUND_TRIP)
    assert demand.room(held=0, unrecorded=0) == JOBS_PER_ROUND_TRIP // 2
    demand.ask_for_fewer(2)
    assert demand.room(held=0, unrecorded=0) == 1
    demand.ask_for_fewer(1)
    assert demand.room(held=0, unrecorded=0) == 1, "it never gives up"


def test_a_lost_reply_of_a_call_that_claimed_nothing_changes_no_claim() -> None:
    demand = demand_of(1000)
    demand.ask_for_fewer(0)
    assert demand.room(held=0, unrecorded=0) == JOBS_PER_ROUND_TRIP


# When


def test_a_worker_begins_by_asking() -> None:
    assert demand_of().expects_jobs


async def test_it_asks_again_at_once_while_claims_are_filled() -> None:
    demand = demand_of()
    demand.conclude(demand.hints, missing=0, due_ms=[-1])
    assert demand.expects_jobs


async def test_it_asks_no_more_when_a_claim_brings_less_than_it_asked_for() -> None:
    demand = demand_of()
    demand.conclude(demand.hints, missing=1, due_ms=[-1])
    assert not demand.expects_jobs


async def test_a_hint_that_comes_during_a_claim_is_not_forgotten() -> None:
    demand = demand_of()
    hints = demand.hints
    demand.expect_jobs()
    demand.conclude(hints, missing=10, due_ms=[-1])
    assert demand.expects_jobs


async def test_a_hint_wakes_the_courier_and_ends_the_idleness() -> None:
    demand = demand_of()
    demand.conclude(demand.hints, missing=1, due_ms=[])
    demand.idle.set()
    demand.expect_jobs()
    assert (demand.expects_jobs, demand.idle.is_set(), demand.changed.is_set()) == (True, False, True)


async def test_it_asks_when_the_first_of_its_scheduled_jobs_is_due() -> None:
    demand = demand_of()
    demand.conclude(demand.hints, missing=1, due_ms=[60_000, -1, 20])
    assert not demand.expects_jobs
    await asyncio.wait_for(demand.changed.wait(), 5)
    assert demand.expects_jobs


async def test_a_later_claim_says_anew_when_to_ask() -> None:
    demand = demand_of()
    demand.conclude(demand.hints, missing=1, due_ms=[20])
    demand.conclude(demand.hints, missing=1, due_ms=[-1])

    with pytest.raises(TimeoutError):
        await asyncio.wait_for(demand.changed.wait(), 0.1)


async def test_the_wait_for_a_scheduled_job_is_never_too_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LONGEST_WAIT_S", 0.01)
    demand = demand_of()
    demand.conclude(demand.hints, missing=1, due_ms=[10**12])
    await asyncio.wait_for(demand.changed.wait(), 5)
    assert demand.expects_jobs


# Jobs from quarantine


def test_suspects_count_until_their_runs_are_over() -> None:
    demand, each = demand_of(), route()
    first, second = run_of(each), run_of(each, "b")
    demand.add_suspects([first, second], alone=None)
    assert demand.suspects == 2
    first.is_over = True
    assert demand.suspects == 1


def test_a_reservation_is_over_when_the_queue_is_set_aside_and_the_job_is_recorded() -> None:
    demand, each = demand_of(), route()
    run = run_of(each)
    demand.reserved_for = each
    demand.add_suspects([], alone=run)
    each.set_aside()
    demand.leave_set_aside()
    assert demand.reserved_for is each, "the job must stay alone until its end is recorded"
    demand.expects_jobs = False
    demand.note_recorded(run_of(each, "another"))
    assert demand.reserved_for is each
    demand.note_recorded(run)
    assert (demand.reserved_for, demand.expects_jobs) == (None, True)


def test_a_queue_that_is_served_says_itself_when_the_reservation_is_over() -> None:
    demand, each = demand_of(), route()
    run = run_of(each)
    demand.reserved_for = each
    demand.add_suspects([], alone=run)
    demand.note_recorded(run)
    assert (demand.reserved_for, demand.alone) == (each, None)
