"""Why a job may not have ended: no worker serves its queue."""

from __future__ import annotations

import asyncio
from contextlib import suppress

from aioq.store import Connection, Store

#: The caller has waited in vain already, so it waits no longer than so many seconds for the reason.
ASK_TIMEOUT_S = 0.5


def place_of(connection: Connection) -> str:
    """Where a server is, as the end of a text; nothing of one that a client of the caller leads to."""
    return f" at {connection.url}" if "://" in connection.url else ""


async def unserved(store: Store) -> str:
    """The end of an error's text if no worker serves the queue; empty if one does, or if that is not known."""
    with suppress(Exception):  # no error here may hide that the time is over
        async with asyncio.timeout(ASK_TIMEOUT_S):
            if not (await store.reads.count()).workers:
                return f"; no worker serves {store.queue!r}{place_of(store.connection)}"

    return ""
