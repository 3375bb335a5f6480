"""The parts of a worker that claims and records, without the rest of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from aioq.store import Connection, Store
from aioq.worker.call import Caller
from aioq.worker.courier import Courier
from aioq.worker.demand import Demand, Limits
from aioq.worker.large_outcomes import LargeOutcomes
from aioq.worker.outcomes import Outcomes
from aioq.worker.route import Route
from aioq.worker.run import Run
from aioq.worker.slots import Slots

#: How long the lease of such a worker is.
LEASE_MS = 7_000


class Parts(NamedTuple):
    courier: Courier
    demand: Demand
    outcomes: Outcomes
    slots: Slots
    routes: list[Route]


def courier_of(
    connection: Connection,
    stores: Sequence[Store],
    limits: Limits | None = None,
    *,
    worker: str = "w",
    concurrency: int = 10,
    received: Callable[[list[Run]], None] = lambda _: None,
    lapsed: Callable[[Route], None] = lambda _: None,
) -> Parts:
    """A courier of a worker that serves these queues, with what it needs."""
    routes = [Route(connection, store, worker, LEASE_MS) for store in stores]
    demand = Demand(concurrency, limits or Limits())
    outcomes = Outcomes(routes, demand, LargeOutcomes(connection.sibling()))
    slots = Slots(concurrency, Caller(concurrency, 500_000).carry_out, outcomes.put)
    courier = Courier(connection, routes, slots, outcomes, demand, worker, received, lapsed)

    return Parts(courier, demand, outcomes, slots, routes)
