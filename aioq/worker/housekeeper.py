"""Housekeeper: what workers do for each other: reclaim a dead one's jobs, and sweep what is past its retention."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence

from anyio import move_on_after

from aioq.store import Store
from aioq.values.beat import Beat
from aioq.values.errors import AbandonedJobError, ServerError
from aioq.values.numbers import count
from aioq.worker.telling import tell_of_failure

log = logging.getLogger("aioq.worker")

#: How often the registries are swept while jobs end, and while none do, in seconds.
SWEEP_BUSY = 2.0
SWEEP_IDLE = 60.0


class Reclaimer:
    """Brings back the jobs of workers whose lease has ended.

    Args:
        look: called after each: the jobs are there to be claimed, and so is what the dead worker was woken for.

    """

    def __init__(self, look: Callable[[], None]) -> None:
        self._look = look
        self._lost: asyncio.Queue[tuple[Store, str]] = asyncio.Queue()
        self._known: set[tuple[str, str]] = set()

    def heard(self, stores: Sequence[Store], beats: Sequence[Beat]) -> None:
        """Note the workers that beats on these queues found dead."""
        for store, beat in zip(stores, beats, strict=True):
            for worker in beat.lost:
                if (store.queue, worker) not in self._known:
                    self._known.add((store.queue, worker))
                    self._lost.put_nowait((store, worker))

    async def run(self) -> None:
        """Reclaim, until cancelled."""
        while True:
            store, worker = await self._lost.get()

            try:
                await self._reclaim(store, worker)
                self._look()
            except ServerError as error:
                log.warning("the jobs of worker %s could not be reclaimed yet: %s", worker, error)
            finally:
                self._known.discard((store.queue, worker))

    async def _reclaim(self, store: Store, worker: str) -> None:
        more = True

        while more:
            more, back, failed = await store.duty.reclaim(worker)

            if back or failed:
                log.warning(
                    "worker %s was lost: %s of queue %s went back, %d failed",
                    worker,
                    count(len(back), "job"),
                    store.queue,
                    len(failed),
                )

            for job_id in failed:
                error = AbandonedJobError(f"its workers died while they ran it, the last one was {worker}")
                tell_of_failure(job_id, None, store.queue, error, worker)


class Sweeper:
    """Takes ids out of the registries whose jobs are forgotten.

    Args:
        stores: the queues.

    """

    def __init__(self, stores: Sequence[Store]) -> None:
        self._stores = stores
        self.working = asyncio.Event()

    async def run(self) -> None:
        """Sweep, until cancelled."""
        while True:
            for store in self._stores:
                try:
                    await _sweep(store)
                except ServerError as error:
                    log.debug("the registries of queue %s could not be swept: %s", store.queue, error)

            self.working.clear()
            await asyncio.sleep(SWEEP_BUSY)

            with move_on_after(SWEEP_IDLE):
                await self.working.wait()


async def _sweep(store: Store) -> None:
    more = True

    while more:
        more = await store.duty.sweep()
