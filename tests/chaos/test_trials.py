"""Trials: load and faults from a seed, judged by the history."""

from __future__ import annotations

import pytest

from .nemesis import FAULTS, home_of, load_of, of_mix
from .topology import KINDS, binary_of
from .trial import Plan, run
from .workload import KINDS as ORDERS
from .workload import LARGEST, LOADS, LOOPS, SMALLEST, orders

pytestmark = pytest.mark.timeout(400)


#: Faults after which a replica takes over that nobody has prepared: what it has not received is gone.
LOSE = {"primary-kill", "primary-freeze", "primary-cut-off", "failover-asked", "shard-kill", "shard-freeze"}


#: How long a trial of one fault takes, in seconds, where that is longer than usual.
LONG = {"shard-away": 75, "clock-step": 40, "heartbeat-end": 30, "guard-end": 30}


async def sound(plan: Plan, least: int) -> None:
    outcome = await run(plan)
    assert outcome.violations == [], f"the history is in {outcome.folder}"
    assert outcome.faults.total() >= least
    assert outcome.jobs > plan.seconds * plan.rate / 2
    assert outcome.lost == 0 or outcome.faults.keys() & LOSE


@pytest.mark.chaos
async def test_a_short_trial_with_all_faults_is_sound() -> None:
    await sound(Plan("day", "mixed", seconds=4, gap=0.6, workers=3, producers=2, rate=15), 3)


@pytest.mark.chaos
def test_the_same_seed_gives_the_same_orders_and_other_ones_do_not() -> None:
    one = list(orders("a", 1000, 10, loops=0.1))
    assert one == list(orders("a", 1000, 10, loops=0.1)) != list(orders("b", 1000, 10, loops=0.1))
    assert {order.kind for order in one} == set(ORDERS)
    assert {order.loop for order in one} == set(LOOPS)
    assert 9500 < len(one) < 10500
    assert all(SMALLEST <= order.size <= LARGEST for order in one)
    assert max(order.size for order in one) > 0.9 * LARGEST
    assert {order.loop for order in orders("a", 100, 10)} == {"main"}


@pytest.mark.parametrize("load", LOADS)
def test_a_load_has_its_kinds_and_no_other(load: str) -> None:
    asked = {order.kind for order in orders("a", 2000, 10, load)}
    assert asked == {kind for kind, weight in LOADS[load].items() if weight}


def test_a_mix_has_its_faults_and_mixed_has_all_of_one_server() -> None:
    assert {each.mix for each in of_mix("mixed")} == {"workers", "server", "network", "mixed"}
    assert {each.mix for each in of_mix("server")} == {"server"}
    assert {each.mix for each in of_mix("cluster+workers")} == {"cluster", "workers"}
    assert of_mix("worker-kill") == [FAULTS["worker-kill"]]
    assert of_mix("nothing") == []
    assert of_mix("clock") == of_mix("clock-step") == [FAULTS["clock-step"]]


def test_a_fault_that_needs_a_load_of_its_own_has_it() -> None:
    assert load_of("clock+workers") == load_of("clock-step") == "steady"
    assert load_of("narrow") == "large"
    assert load_of("mixed") == load_of("cluster+workers") == "usual"


def test_a_mix_is_at_home_where_its_servers_are() -> None:
    assert home_of("mixed") == home_of("worker-kill") == "standalone"
    assert home_of("failover+workers") == home_of("primary-kill") == "sentinel"
    assert home_of("cluster") == home_of("slot-move") == "cluster"


@pytest.mark.chaos
@pytest.mark.parametrize("name", FAULTS)
async def test_each_fault_by_itself(name: str) -> None:
    seconds = LONG.get(name, 15 if home_of(name) == "standalone" else 40)
    rate = 5 if load_of(name) == "large" else 20
    plan = Plan(
        f"7-{name}",
        name,
        seconds=seconds,
        gap=1.5,
        workers=4,
        rate=rate,
        topology=home_of(name),
        load=load_of(name),
    )
    await sound(plan, 1)


@pytest.mark.chaos
@pytest.mark.parametrize("load", ["brief", "stick", "kill"])
async def test_each_kind_of_load_beside_the_faults_that_it_fears(load: str) -> None:
    mix = {"brief": "enqueues-cut", "stick": "worker-term", "kill": "script-flush"}[load]
    await sound(Plan(f"7-{load}", mix, seconds=20, gap=1.5, workers=4, load=load, loops=0), 1)


@pytest.mark.chaos
async def test_producers_with_several_event_loops() -> None:
    await sound(Plan("7-loops", "network", seconds=20, workers=4, loops=0.5), 3)


@pytest.mark.chaos
async def test_workers_die_while_the_clock_is_set() -> None:
    await sound(Plan("2", "clock+worker-kill", seconds=40, gap=3, workers=4, load="steady"), 5)


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
