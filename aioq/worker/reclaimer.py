"""Reclaimer: brings back the jobs of workers that have died."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence

from aioq.store import Store
from aioq.values.beat import Beat
from aioq.values.errors import AbandonedJobError, ServerError
from aioq.values.numbers import count
from aioq.worker.telling import tell_of_failure

log = logging.getLogger("aioq.worker")


async def reclaim_all(store: Store, worker: str, *, reaped: bool = False) -> None:
    """Bring back all jobs of one queue that a dead worker holds.

    Args:
        store: the queue.
        worker: its name.
        reaped: the caller has seen the end of its process; otherwise its lease must have ended.

    Raises:
        ServerError: the server cannot be reached, or refuses.

    """
    more = True

    while more:
        more, back, failed = await store.duty.reclaim(worker, reaped=reaped)

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


class Reclaimer:
    """Brings back the jobs of workers whose lease has ended.

    Args:
        expect_jobs: called after each: its jobs can be claimed now, and so can those that it was woken for.

    """

    def __init__(self, expect_jobs: Callable[[], None]) -> None:
        self._expect_jobs = expect_jobs
        self._lost: asyncio.Queue[tuple[Store, str]] = asyncio.Queue()
        self._known: set[tuple[str, str]] = set()

    def note(self, stores: Sequence[Store], beats: Sequence[Beat]) -> None:
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
                await reclaim_all(store, worker)
                self._expect_jobs()
            except ServerError as error:
                log.warning("the jobs of worker %s could not be reclaimed yet: %s", worker, error)
            finally:
                self._known.discard((store.queue, worker))
