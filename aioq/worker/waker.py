"""Waker: the blocking read of an idle worker. It hands out no jobs, only the hint that there may be some.

An enqueue leaves one token in a list if there is none; an idle worker waits there. So a lost reply loses a
hint and not a job, a worker that is paused or full holds nothing back, and the same token announces a
scheduled job that is due sooner than anyone expected.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Sequence

from anyio import CancelScope

from aioq.store import Connection, Store
from aioq.values.errors import ServerError, ServerUnreachable
from aioq.worker.courier import LONGEST_PAUSE, Courier
from aioq.worker.slots import Slots as Executor

log = logging.getLogger("aioq.worker")

#: How long one blocking read lasts, in seconds; less where another server may take over, since a silent one is not
#: noticed before its end. The worker looks anyway after LOOK seconds.
BLOCK, SHORT_BLOCK = 10, 3
LOOK = 60

#: How often a worker that may claim nothing asks whether it may again, in seconds.
BARRED = 0.25


class Waker:
    """Waits for tokens while the worker has nothing to claim.

    Args:
        connection: names the server; the blocking read gets a connection of its own.
        stores: the queues; in a Cluster one, since a command blocks on one server.
        courier: is told to look.
        executor: tells whether there is room for more jobs.

    """

    def __init__(
        self, connection: Connection, stores: Sequence[Store], courier: Courier, executor: Executor
    ) -> None:
        self._block = SHORT_BLOCK if connection.has_others else BLOCK
        self._connection = connection.sibling(blocking=self._block)
        self._stores = {store.keys.wake: store for store in stores}
        self._courier = courier
        self._executor = executor

    async def run(self) -> None:
        """Wait and wake, until cancelled."""
        quiet, pause, was_told = 0, 0.05, False  # quiet: seconds

        try:
            while True:
                await self._courier.idle.wait()

                if not self._courier.may_claim(self._stores.values()):
                    await asyncio.sleep(BARRED)  # others take the tokens
                    continue

                try:
                    reply = await self._connection.call(("BLPOP", *self._stores, self._block))
                    pause = 0.05
                except ServerError as error:
                    # A server that is away is the courier's to report; here it only must not be missed.
                    if not isinstance(error, ServerUnreachable) and not was_told:
                        log.warning("this worker polls, since it may not be woken: %s", error)
                        was_told = True

                    self._courier.look()
                    await asyncio.sleep(pause * (0.5 + random.random()))  # noqa: S311 - no secret
                    pause = min(2 * pause, LONGEST_PAUSE)
                    continue

                quiet = quiet + self._block if reply is None else 0

                if reply is not None:
                    await self._pass_on(self._stores[reply[0]])
                elif quiet >= LOOK:
                    quiet = 0
                    self._courier.look()
        finally:
            self._courier.look()  # a token may have been taken with nobody to use it

            with CancelScope(shield=True):
                await self._connection.aclose()

    async def _pass_on(self, store: Store) -> None:
        """Use a token, or leave it to another worker if this one has become busy meanwhile."""
        has_room = self._executor.running < self._executor.concurrency and not self._courier.is_reserved

        if self._courier.limits.claiming and has_room and self._courier.may_claim((store,)):
            self._courier.look()
            return

        try:
            await store.changes.wake()
        except ServerError:
            log.warning("a token of queue %s could not be passed on", store.queue)
