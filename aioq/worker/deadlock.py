"""Deadlock: tells of jobs that wait for others which cannot begin, since all slots are taken by jobs that wait."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Iterator, Sequence

from aioq.client.waits import Wait, waits
from aioq.store import Store
from aioq.values.errors import ServerError
from aioq.values.states import JobStatus
from aioq.worker.slots import Slots

log = logging.getLogger("aioq.worker")

#: How often it is looked for such waits, and how long a wait goes on before it counts as one, in seconds.
CHECK_S = 1.0
TELL_S = 3.0

#: A job: its queue and its id.
Name = tuple[str | None, str]


class Deadlock:
    """Looks at what the runs of a worker wait for.

    Args:
        slots: the runs of the worker.
        stores: the queues that it serves.

    """

    def __init__(self, slots: Slots, stores: Sequence[Store]) -> None:
        self._slots = slots
        self._stores = {store.queue: store for store in stores}
        self._server = stores[0].connection.identity
        self._told: set[object] = set()

    async def watch(self) -> None:
        """Log each wait that cannot end, once."""
        while True:
            await asyncio.sleep(CHECK_S)

            if waits:
                await self._check()

    async def _check(self) -> None:
        running = {(run.store.queue, run.id) for run in self._slots.held if run.task is not None}
        long = {key: wait for key, wait in self._of(running) if time.monotonic() - wait.since >= TELL_S}
        self._told &= long.keys()
        of_each: dict[Name, list[Name]] = {}

        for wait in long.values():
            of_each.setdefault(_waiter(wait), []).append(_awaited(wait))

        is_full = len(running) >= self._slots.concurrency and running == of_each.keys()

        for key, wait in long.items():
            if key in self._told:
                continue

            if _leads_to(_waiter(wait), _awaited(wait), of_each):
                self._tell(key, wait, "which waits for the first one, too. Neither can end")
            elif is_full and await self._is_queued(wait):
                self._tell(
                    key,
                    wait,
                    f"which is queued, and all {self._slots.concurrency} slots of this worker are taken by jobs"
                    " that wait. If no other worker serves that queue, none of them can end. Give the worker more"
                    " slots, or a queue and a worker of their own to the jobs that are waited for",
                )

    def _of(self, running: set[tuple[str, str]]) -> Iterator[tuple[object, Wait]]:
        """The waits of these runs for jobs of the worker's own server."""
        for key, wait in list(waits.items()):
            if wait.waiter.server == self._server == wait.awaited.server and _waiter(wait) in running:
                yield key, wait

    async def _is_queued(self, wait: Wait) -> bool:
        store = self._stores.get(wait.awaited.origin or "")

        if store is None:  # other workers serve it
            return False

        try:
            (record,) = await store.reads.load([wait.awaited.id])
        except ServerError:
            return False

        return record is not None and record.status == JobStatus.QUEUED

    def _tell(self, key: object, wait: Wait, why: str) -> None:
        self._told.add(key)
        log.warning(
            "%s (job %s) waits for %s (job %s) of queue %s, %s",
            wait.waiter.func_name,
            wait.waiter.id,
            wait.awaited.func_name,
            wait.awaited.id,
            wait.awaited.origin,
            why,
        )


def _waiter(wait: Wait) -> Name:
    return wait.waiter.origin, wait.waiter.id


def _awaited(wait: Wait) -> Name:
    return wait.awaited.origin, wait.awaited.id


def _leads_to(goal: Name, begin: Name, of_each: dict[Name, list[Name]]) -> bool:
    """Whether what is waited for waits for the goal in its turn, over any number of jobs."""
    seen, ahead = set[Name](), [begin]

    while ahead:
        if (name := ahead.pop()) == goal:
            return True

        if name not in seen:
            seen.add(name)
            ahead += of_each.get(name, ())

    return False
