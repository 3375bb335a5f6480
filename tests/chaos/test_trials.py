"""Trials: load and faults from a seed, judged by the history."""

from __future__ import annotations

import pytest

from .nemesis import FAULTS, of_mix
from .topology import KINDS, binary_of
from .trial import Plan, run
from .workload import KINDS as ORDERS
from .workload import orders

pytestmark = pytest.mark.timeout(240)


async def sound(plan: Plan, least: int) -> None:
    outcome = await run(plan)
    assert outcome.violations == [], f"the history is in {outcome.folder}"
    assert outcome.faults.total() >= least
    assert outcome.jobs > plan.seconds * plan.rate / 2
    assert outcome.lost == 0


async def test_a_short_trial_with_all_faults_is_sound() -> None:
    await sound(Plan("day", "mixed", seconds=4, gap=0.6, workers=3, producers=2, rate=15), 3)


def test_the_same_seed_gives_the_same_orders_and_other_ones_do_not() -> None:
    one = list(orders("a", 500, 10))
    assert one == list(orders("a", 500, 10)) != list(orders("b", 500, 10))
    assert {order.kind for order in one} == set(ORDERS)
    assert 4500 < len(one) < 5500


def test_a_mix_has_its_faults_and_mixed_has_all() -> None:
    assert of_mix("mixed") == list(FAULTS.values())
    assert {each.mix for each in of_mix("server")} == {"server"}
    assert of_mix("worker-kill") == [FAULTS["worker-kill"]]


@pytest.mark.chaos
@pytest.mark.parametrize("name", FAULTS)
async def test_each_fault_by_itself(name: str) -> None:
    await sound(Plan(f"7-{name}", name, seconds=15, gap=1.5, workers=4), 1)


@pytest.mark.chaos
@pytest.mark.parametrize("kind", KINDS)
async def test_all_faults_on_each_kind_of_server(kind: str) -> None:
    if binary_of(kind) is None:
        pytest.skip(f"this machine has no {kind}; {KINDS[kind]}")

    await sound(Plan(f"7-{kind}", "mixed", seconds=30, kind=kind), 5)


@pytest.mark.chaos
@pytest.mark.parametrize("disk", ["everysec", "none"])
async def test_a_server_that_may_lose_what_it_was_told_last(disk: str) -> None:
    outcome = await run(Plan(f"7-{disk}", "server-kill", seconds=30, disk=disk))
    assert outcome.violations == [], f"the history is in {outcome.folder}"
    assert outcome.faults["server-kill"] > 1
