"""Waker: the blocking read of an idle worker. It hands out no jobs, only the hint that there may be some.

An enqueue leaves one token in a list if there is none; an idle worker waits there. So a lost reply loses a
hint and not a job, and a worker that is paused or full holds nothing back. The same token announces a
scheduled job that is due sooner than anyone expected.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Sequence

from anyio import CancelScope

from aioq.store import Connection
from aioq.values.errors import ServerError, ServerUnreachable
from aioq.worker.demand import Demand
from aioq.worker.route import LONGEST_PAUSE_S, SHORTEST_PAUSE_S, Route
from aioq.worker.slots import Slots

log = logging.getLogger("aioq.worker")

#: How long one blocking read lasts, in seconds. It is less where another server may take over, since a silent
#: server is noticed at the end of the read.
BLOCK_S, SHORT_BLOCK_S = 10, 3

#: After so many seconds without a token, the worker asks for jobs all the same.
LONGEST_QUIET_S = 60

#: How often a worker that may claim nothing looks whether it may again, in seconds.
BARRED_CHECK_S = 0.25


class Waker:
    """Waits for tokens while the worker has nothing to claim.

    Args:
        connection: names the server; the blocking read gets a connection of its own.
        routes: the queues; in a Cluster one, since a command blocks on one server.
        demand: tells when the worker is idle, and takes the hints.
        slots: whether there is room for more jobs.

    """

    def __init__(self, connection: Connection, routes: Sequence[Route], demand: Demand, slots: Slots) -> None:
        self._block = SHORT_BLOCK_S if connection.has_others else BLOCK_S
        self._connection = connection.sibling(blocking=self._block)
        self._routes = {route.store.keys.wake: route for route in routes}
        self._demand = demand
        self._slots = slots

    async def run(self) -> None:
        """Wait and wake, until cancelled."""
        quiet_s, pause, is_logged = 0, SHORTEST_PAUSE_S, False

        try:
            while True:
                await self._demand.idle.wait()

                if any(route.is_barred for route in self._routes.values()):
                    await asyncio.sleep(BARRED_CHECK_S)  # others take the tokens
                    continue

                try:
                    reply = await self._connection.call(("BLPOP", *self._routes, self._block))
                    pause = SHORTEST_PAUSE_S
                except ServerError as error:
                    # A server that is away is the courier's to report; here it only must not be missed.
                    if not isinstance(error, ServerUnreachable) and not is_logged:
                        log.warning("this worker polls, since it may not be woken: %s", error)
                        is_logged = True

                    self._demand.expect_jobs()
                    await asyncio.sleep(pause * (0.5 + random.random()))  # noqa: S311 - no secret
                    pause = min(2 * pause, LONGEST_PAUSE_S)
                    continue

                quiet_s = quiet_s + self._block if reply is None else 0

                if reply is not None:
                    await self._use_token(self._routes[reply[0]])
                elif quiet_s >= LONGEST_QUIET_S:
                    quiet_s = 0
                    self._demand.expect_jobs()
        finally:
            self._demand.expect_jobs()  # a token may have been taken with nobody to use it

            with CancelScope(shield=True):
                await self._connection.aclose()

    async def _use_token(self, route: Route) -> None:
        """Use a token, or leave it to another worker if this one has become busy meanwhile."""
        demand, slots = self._demand, self._slots
        has_room = slots.running < slots.concurrency and demand.reserved_for is None

        if demand.limits.claiming and has_room and not route.is_barred:
            demand.expect_jobs()
            return

        try:
            await route.store.changes.wake()
        except ServerError:
            log.warning("a token of queue %s could not be passed on", route.store.queue)
