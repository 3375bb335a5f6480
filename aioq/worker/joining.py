"""Joining: a worker begins to serve its queues. In a Cluster, some of them may be away."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine, Sequence
from contextlib import suppress
from typing import Any

from aioq.store import Connection, Directory, Store
from aioq.store.net.tasks import all_settled
from aioq.store.server import read_evictions
from aioq.values.errors import ServerError, ServerFull, ServerUnreachable

log = logging.getLogger("aioq.worker")

#: In a Cluster, a worker that can serve one of its queues waits so many seconds for the servers of the others.
JOIN_PATIENCE_S = 1.0


async def join_all(
    connection: Connection, directory: Directory, stores: Sequence[Store], worker: str, lease_ms: int
) -> list[Store]:
    """Take a lease on each queue, and put it on the list of queues.

    In a Cluster, each of these may be on a server that is away: that holds up only what is there. A queue gets
    onto the list with the heartbeats of the worker.

    Returns:
        The queues that are away, and are to be tried again.

    Raises:
        ServerError: no queue can be served, or the server refuses.

    """
    listings = [directory.sweep_workers(), *(store.producing.register() for store in stores)]
    joins = [store.duty.join(worker, lease_ms) for store in stores]
    patience = JOIN_PATIENCE_S if connection.is_cluster else None
    found = await _outcomes([*joins, *listings], patience, enough=len(joins))
    joined = found[: len(joins)]
    is_in_part = connection.is_cluster and None in joined

    for error in found:
        # When memory is full, jobs must still be run; a queue that has any is on the list already.
        is_full = isinstance(error, ServerFull) and error not in joined

        if error is not None and not is_full and not (is_in_part and isinstance(error, ServerUnreachable)):
            raise error

    away = {store: error for store, error in zip(stores, joined, strict=True) if error is not None}

    for store, error in away.items():
        log.warning("queue %s is away, and is served when it is back: %s", store.queue, error)

    return list(away)


async def warn_of_evictions(connection: Connection) -> None:
    """Name the servers that delete jobs when their memory is full."""
    with suppress(ServerError):  # one that is away just now is the courier's to deal with
        for url, policy in await read_evictions(connection):
            log.warning(
                "%s deletes jobs when its memory is full: set maxmemory-policy %s to noeviction", url, policy
            )


async def _outcomes(
    steps: Sequence[Coroutine[Any, Any, object]], patience: float | None, enough: int
) -> list[BaseException | None]:
    """Take steps side by side: None for each that succeeds, else its error.

    Args:
        steps: what is to be done.
        patience: seconds that steps may take when one of those that are enough has succeeded; None: any time.
        enough: the number of steps, from the first one on, that are enough.

    """
    tasks = [asyncio.ensure_future(step) for step in steps]

    try:
        if patience is not None:
            waiting = set(tasks[:enough])

            while waiting and not any(each.done() and each.exception() is None for each in tasks[:enough]):
                _, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)

        await asyncio.wait(tasks, timeout=patience)
    finally:
        late = [each for each in tasks if each.cancel()]
        await all_settled(late)

    silent = ServerUnreachable("it does not answer")

    return [silent if task.cancelled() else task.exception() for task in tasks]
