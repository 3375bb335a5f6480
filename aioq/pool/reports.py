"""Reports: the server is told of workers whose process has died. Their jobs go back at once."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence

import anyio

from aioq.store import Connection, Directory, Store
from aioq.store.net.tasks import all_settled
from aioq.values.errors import ServerError
from aioq.worker.reclaimer import reclaim_all

log = logging.getLogger("aioq.pool")

#: How often a report is tried, and the pause after the first time, in seconds; each pause is twice the one before.
#: After that the lease of the worker has ended by itself.
ATTEMPTS = 6
FIRST_PAUSE_S = 0.1


class Reports:
    """Tells the server of dead workers, one after the other.

    Args:
        connect: opens the connection, when it is first needed. It is closed with this.
        queues: the names of the workers' queues.

    """

    def __init__(self, connect: Callable[[], Connection], queues: Sequence[str]) -> None:
        self._connect = connect
        self._queues = queues
        self._dead: asyncio.Queue[str] = asyncio.Queue()
        self._connection: Connection | None = None
        self._unreported: set[str] = set()

    def put(self, worker: str) -> None:
        """Report this worker as soon as possible."""
        self._unreported.add(worker)
        self._dead.put_nowait(worker)

    async def run(self) -> None:
        """Report, until cancelled."""
        while True:
            await self._report(await self._dead.get())

    async def finish(self, seconds: float) -> None:
        """Report what is left, and close the connection.

        Args:
            seconds: how long that may take; a lease that was not reported ends by itself.

        """
        with anyio.move_on_after(seconds):
            for worker in list(self._unreported):
                await self._report(worker)

        if self._connection is not None:
            await self._connection.aclose()

    async def _report(self, worker: str) -> None:
        pause = FIRST_PAUSE_S

        for attempt in range(ATTEMPTS):
            try:
                await self._tell(worker)
            except ServerError as error:
                if attempt == ATTEMPTS - 1:
                    log.warning("the end of worker %s could not be reported; its lease ends: %s", worker, error)
                else:
                    await anyio.sleep(pause)
                    pause *= 2
            else:
                break

        self._unreported.discard(worker)

    async def _tell(self, worker: str) -> None:
        if self._connection is None:
            self._connection = self._connect()

        connection = self._connection
        # In a Cluster, a queue whose server is away must not hold up the others.
        steps: list[Awaitable[None]] = [
            *(reclaim_all(Store(connection, queue), worker, reaped=True) for queue in self._queues),
            Directory(connection).remove_worker(worker),
        ]

        for each in await all_settled(steps):
            if isinstance(each, BaseException):
                raise each
