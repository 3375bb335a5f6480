"""Outcomes: what runs came to, until the server has recorded it.

Small ones wait for the next round trip of the courier. Large ones go one at a time on a connection of their own.
Those of a queue that is set aside wait with its route.
"""

from __future__ import annotations

from collections.abc import Sequence

from aioq.store import Store
from aioq.values.outcome import Finished, Interrupted, Outcome
from aioq.worker.demand import JOBS_PER_ROUND_TRIP, Demand
from aioq.worker.large_outcomes import LARGE_BYTES, LargeOutcomes, is_large
from aioq.worker.route import Ended, Route
from aioq.worker.run import Run


class Outcomes:
    """The outcomes that are not recorded yet.

    Args:
        routes: the queues of the worker.
        demand: learns of jobs that go back, and that there is something to record.
        large: takes large outcomes to the server.

    """

    def __init__(self, routes: Sequence[Route], demand: Demand, large: LargeOutcomes) -> None:
        #: For the next round trips.
        self.small: list[Ended] = []
        self.large = large
        self.routes: dict[Store, Route] = {route.store: route for route in routes}
        self._demand = demand

    def put(self, run: Run, outcome: Outcome | None) -> None:
        """Take what a run came to; None: nothing is to be recorded."""
        if outcome is None:
            self._demand.note_recorded(run)
            self.routes[run.store].figures.note_dropped(run)
        elif isinstance(outcome, Finished) and len(outcome.result) > LARGE_BYTES:
            self._put_large(run, outcome)
        else:
            waiting = self.routes[run.store].waiting  # as put_small does; this is the path of every job
            (self.small if waiting is None else waiting).append((run, outcome))

            if isinstance(outcome, Interrupted) and not outcome.begun:  # it did not run: it counts for no limit
                self._demand.count(-1)

        self._demand.changed.set()

    def next_batch(self) -> dict[Store, list[Ended]]:
        """Take outcomes out for a round trip: the first one, and of the others those that fit in beside it."""
        room, count = LARGE_BYTES, 0
        batch: dict[Store, list[Ended]] = {}
        rest: list[Ended] = []

        for each in self.small:
            run, outcome = each
            size = len(outcome.result if isinstance(outcome, Finished) else getattr(outcome, "error", ""))

            if not count or (size <= room and count < JOBS_PER_ROUND_TRIP):
                room -= size
                count += 1
                batch.setdefault(run.store, []).append(each)
            else:
                rest.append(each)

        self.small = rest

        return batch

    def put_back(self, batch: dict[Store, list[Ended]]) -> None:
        """Take outcomes back that a round trip has not recorded, or perhaps has: sent twice they are harmless."""
        for store, ended in batch.items():
            waiting = self.routes[store].waiting

            if waiting is None:
                self.small = ended + self.small
            else:
                waiting += ended

    def set_aside(self, route: Route, ended: list[Ended]) -> None:
        """Let the outcomes of a queue wait with its route, beside those that a round trip has not recorded."""
        route.set_aside(ended)
        small, self.small = self.small, []

        for run, outcome in small:
            self.put_small(run, outcome)

    def serve_again(self, route: Route) -> None:
        """Send what has waited with a route."""
        for run, outcome in route.serve_again():
            if is_large(outcome):
                self.large.put(run, outcome)
            else:
                self.small.append((run, outcome))

    def put_small(self, run: Run, outcome: Outcome) -> None:
        """Take an outcome for the next round trip, or for the time when its queue is served again."""
        waiting = self.routes[run.store].waiting
        (self.small if waiting is None else waiting).append((run, outcome))

    def of(self, route: Route) -> list[Ended]:
        """The outcomes of a queue's runs that wait here or with it."""
        waiting = (*self.small, *self.large.waiting, *(route.waiting or ()))

        return [each for each in waiting if each[0].store is route.store]

    def _put_large(self, run: Run, outcome: Outcome) -> None:
        waiting = self.routes[run.store].waiting

        if waiting is None:
            self.large.put(run, outcome)
        else:
            waiting.append((run, outcome))
