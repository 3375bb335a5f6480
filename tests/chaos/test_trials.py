"""Trials: load and faults from a seed, judged by the history."""

from __future__ import annotations

import pytest

from .nemesis import FAULTS, home_of, of_mix
from .topology import KINDS, binary_of
from .trial import Plan, run
from .workload import KINDS as ORDERS
from .workload import orders

pytestmark = pytest.mark.timeout(240)


#: Faults after which a replica takes over that nobody has prepared: what it has not received is gone.
LOSE = {"primary-kill", "primary-freeze", "primary-cut-off", "failover-asked", "shard-kill", "shard-freeze"}


async def sound(plan: Plan, least: int) -> None:
    outcome = await run(plan)
    assert outcome.violations == [], f"the history is in {outcome.folder}"
    assert outcome.faults.total() >= least
    assert outcome.jobs > plan.seconds * plan.rate / 2
    assert outcome.lost == 0 or outcome.faults.keys() & LOSE


async def test_a_short_trial_with_all_faults_is_sound() -> None:
    await sound(Plan("day", "mixed", seconds=4, gap=0.6, workers=3, producers=2, rate=15), 3)


def test_the_same_seed_gives_the_same_orders_and_other_ones_do_not() -> None:
    one = list(orders("a", 500, 10))
    assert one == list(orders("a", 500, 10)) != list(orders("b", 500, 10))
    assert {order.kind for order in one} == set(ORDERS)
    assert 4500 < len(one) < 5500


def test_a_mix_has_its_faults_and_mixed_has_all_of_one_server() -> None:
    assert {each.mix for each in of_mix("mixed")} == {"workers", "server", "network", "mixed"}
    assert {each.mix for each in of_mix("server")} == {"server"}
    assert {each.mix for each in of_mix("cluster+workers")} == {"cluster", "workers"}
    assert of_mix("worker-kill") == [FAULTS["worker-kill"]]
    assert of_mix("nothing") == []


def test_a_mix_is_at_home_where_its_servers_are() -> None:
    assert home_of("mixed") == home_of("worker-kill") == "standalone"
    assert home_of("failover+workers") == home_of("primary-kill") == "sentinel"
    assert home_of("cluster") == home_of("slot-move") == "cluster"


@pytest.mark.chaos
@pytest.mark.parametrize("name", FAULTS)
async def test_each_fault_by_itself(name: str) -> None:
    seconds = 15 if home_of(name) == "standalone" else 40
    await sound(Plan(f"7-{name}", name, seconds=seconds, gap=1.5, workers=4, topology=home_of(name)), 1)


@pytest.mark.chaos
@pytest.mark.parametrize("mix", ["failover+workers", "cluster+workers"])
async def test_all_faults_where_there_are_several_servers(mix: str) -> None:
    await sound(Plan("7", mix, seconds=40, producers=3, topology=home_of(mix)), 5)


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
