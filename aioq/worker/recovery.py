"""Recovery: what a worker does when a reply may have been lost, and when a server refuses the calls of a queue.

After a lost reply the server may know of claims that the worker does not know. The worker names the claims that it
knows in a new session. All others go back, and a claim of the older session brings nothing any more.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Awaitable, Callable, Sequence

from aioq.store import Connection
from aioq.values.errors import ServerError, ServerUnreachable
from aioq.values.outcome import Outcome
from aioq.worker.demand import Demand
from aioq.worker.large_outcomes import is_large
from aioq.worker.outcomes import Outcomes
from aioq.worker.route import LONGEST_PAUSE_S, SHORTEST_PAUSE_S, Ended, Route
from aioq.worker.run import Run, own_task
from aioq.worker.slots import Slots

log = logging.getLogger("aioq.worker")


class Recovery:
    """Brings worker and server to agree again.

    Args:
        connection: the worker's own.
        routes: the queues.
        slots: where jobs run.
        outcomes: what runs came to.
        demand: learns that there may be jobs again.
        worker: the worker's name.
        all_received: waits for the round trips that are under way.

    """

    def __init__(
        self,
        connection: Connection,
        routes: Sequence[Route],
        slots: Slots,
        outcomes: Outcomes,
        demand: Demand,
        worker: str,
        all_received: Callable[[], Awaitable[None]],
    ) -> None:
        #: Whether the server may know of claims that the worker does not know: a reply was perhaps lost.
        self.in_doubt = False
        #: How often the connection had been opened when worker and server agreed.
        self.opened = connection.opened
        #: The pause before the next attempt, in seconds.
        self.pause_s = SHORTEST_PAUSE_S
        #: The tasks that try the queues which are set aside.
        self.healers: set[asyncio.Task[None]] = set()
        self._connection = connection
        self._routes = routes
        self._slots = slots
        self._outcomes = outcomes
        self._demand = demand
        self._worker = worker
        self._all_received = all_received
        self._away_since: float | None = None

    def begin(self) -> None:
        """Take the connection as it is, and try the queues that are away from the beginning."""
        self.opened = self._connection.opened

        for route in self._routes:
            if route.is_aside:
                self._heal_later(route)

    def note_lost_reply(self, error: BaseException) -> None:
        """Note that an error has kept a reply from coming."""
        self.in_doubt = self._demand.expects_jobs = True

        if isinstance(error, ServerError):
            self._away_since = self._away_since or time.monotonic()
            log.warning("%s; trying again", error)

    async def recover(self) -> None:
        """Wait for the other round trips, and for a while; then find out what was claimed."""
        await self._all_received()
        await asyncio.sleep(self.pause_s * (0.5 + random.random()))  # noqa: S311 - spreads a crowd, no secret
        self.pause_s = min(2 * self.pause_s, LONGEST_PAUSE_S)

        try:
            await self._resync()
        except ServerError as error:
            log.warning("%s; trying again", error)
            return

        if self._away_since is not None:
            seconds, self._away_since = time.monotonic() - self._away_since, None
            log.info("worker %s: the server answers again after %.1f s", self._worker, seconds)

    def set_aside(self, route: Route, ended: list[Ended], error: ServerError) -> None:
        """Let a queue wait for a while whose calls the server refuses, and go on with the others.

        Raises:
            ServerUnreachable: it was no refusal, and all queues are on this server; then all of them wait.

        """
        if isinstance(error, ServerUnreachable) and not self._connection.is_cluster:
            raise error

        log.warning("queue %s is set aside, and tried again: %s", route.store.queue, error)
        is_new = not route.is_aside
        route.note_refusal(error)
        self._outcomes.set_aside(route, ended)
        self._demand.leave_set_aside()

        if is_new:
            self._heal_later(route)

    def refuse_large(self, run: Run, outcome: Outcome, error: ServerError) -> None:
        """Record a large outcome as a small one if it was too large for the server; else its queue waits."""
        if is_large(outcome):
            self.set_aside(self._outcomes.routes[run.store], [(run, outcome)], error)
        else:
            self._outcomes.put_small(run, outcome)

        self._demand.changed.set()

    async def _resync(self) -> None:
        for route in self._routes:
            if not route.is_aside:
                try:
                    await self._resync_route(route)
                except ServerError as error:
                    self.set_aside(route, [], error)

        self.in_doubt, self.opened = False, self._connection.opened

    async def _resync_route(self, route: Route) -> None:
        """Let server and worker agree on the jobs of a queue that this worker has."""
        await route.fail_lost_claim()
        known = [run.claim for run in self._slots.held if run.store is route.store]
        known += [run.claim for run, _ in self._outcomes.of(route)]
        await route.take_back(known)
        await audit(route, self._slots)

    def _heal_later(self, route: Route) -> None:
        healer = own_task(self._heal(route))
        self.healers.add(healer)
        healer.add_done_callback(self.healers.discard)

    async def _heal(self, route: Route) -> None:
        """Serve a queue again when the server takes its calls again."""
        await route.heal(self._try_again, self._demand.changed.set)
        self._outcomes.serve_again(route)
        self._demand.expect_jobs()

    async def _try_again(self, route: Route) -> None:
        await self._all_received()  # what another round trip brings by now is known, and does not go back
        await self._resync_route(route)


async def audit(route: Route, slots: Slots) -> None:
    """End the runs whose claims on a queue are not valid any more."""
    for run, cause in await route.invalid(slots.held):
        log.warning("a run of %s is ended: the job %s", run.named, cause.value)
        slots.end(run, cause)
