"""Relaying: what the ends of jobs mean to jobs of other queues is carried there."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence

from anyio import move_on_after

from aioq.store import Store
from aioq.store.relay import relay
from aioq.values.errors import ServerError, ServerUnreachable

log = logging.getLogger("aioq.worker")

#: How often a worker looks for rows that nobody has told it of, in seconds: whoever wrote them may have died.
PAUSE_S = 10.0


class Relaying:
    """Carries on the rows of the outboxes of a worker's queues.

    Args:
        stores: the queues.
        carried: called when rows have been carried on: jobs may have come.

    """

    def __init__(self, stores: Sequence[Store], carried: Callable[[], None]) -> None:
        self._stores = stores
        self._carried = carried
        self._told = asyncio.Event()
        self._is_carrying = False

    @property
    def is_due(self) -> bool:
        """Whether rows are known that have not been carried on."""
        return self._told.is_set() or self._is_carrying

    def note_rows(self) -> None:
        """There are rows: a claim has brought that."""
        self._told.set()

    async def run(self) -> None:
        """Carry rows on, until cancelled."""
        while True:
            with move_on_after(PAUSE_S):
                await self._told.wait()

            # Rows that come while others are carried on are not overlooked: what is told of them sets this again.
            self._is_carrying = self._told.is_set()
            self._told.clear()
            await self._relay_all(tell_again=not self._is_carrying)

            if self._is_carrying:
                self._is_carrying = False
                self._carried()

    async def _relay_all(self, *, tell_again: bool) -> None:
        """Carry all rows on.

        Args:
            tell_again: tell jobs of other queues again of some that wait for them. A queue without such jobs costs
                no call more.

        """
        own = {store.queue for store in self._stores}
        others: dict[str, Store] = {}

        for store in self._stores:
            sources = await _relay(store)
            others |= {name: Store(store.connection, name) for name in sources if name not in own}

            if sources and tell_again and await _tell_again(store):
                await _relay(store)

        for other in others.values():
            await _relay(other)


async def _relay(store: Store) -> list[str]:
    try:
        return await relay(store)
    except ServerError as error:
        level = logging.DEBUG if isinstance(error, ServerUnreachable) else logging.WARNING
        log.log(level, "the outbox of queue %s could not be carried on: %s", store.queue, error)

        return []


async def _tell_again(store: Store) -> int:
    try:
        return await store.outbox.tell_again()
    except ServerError as error:
        level = logging.DEBUG if isinstance(error, ServerUnreachable) else logging.WARNING
        log.log(level, "jobs of queue %s that wait for others could not be told again: %s", store.queue, error)

        return 0
