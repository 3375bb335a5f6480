"""Sweeper: keeps the registries free of jobs whose retention has passed."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence

from anyio import move_on_after

from aioq.client.filling import close_overdue
from aioq.store import Store
from aioq.values.errors import ServerError

log = logging.getLogger("aioq.worker")

#: How often the registries are swept while jobs end, and while none do, in seconds.
BUSY_PAUSE_S = 2.0
IDLE_PAUSE_S = 60.0


class Sweeper:
    """Takes ids of forgotten jobs out of the registries.

    Args:
        stores: the queues.

    """

    def __init__(self, stores: Sequence[Store]) -> None:
        #: Set when a job has come: registries grow.
        self.working = asyncio.Event()
        self._stores = stores

    async def run(self) -> None:
        """Sweep, until cancelled."""
        while True:
            for store in self._stores:
                try:
                    await _sweep(store)
                except ServerError as error:
                    log.debug("the registries of queue %s could not be swept: %s", store.queue, error)

            self.working.clear()
            await asyncio.sleep(BUSY_PAUSE_S)

            with move_on_after(IDLE_PAUSE_S):
                await self.working.wait()


async def _sweep(store: Store) -> None:
    more, overdue = True, list[str]()

    while more:
        more = await store.duty.sweep(overdue)

    for name in dict.fromkeys(overdue):
        await close_overdue(store, name)
