"""Why a job may not have ended: nobody is there to run it."""

from __future__ import annotations

import asyncio
from contextlib import suppress

from aioq.store import Connection, Store

#: Who asks has waited in vain already, and waits no longer than so many seconds for the reason.
ASK_S = 0.5


def place_of(connection: Connection) -> str:
    """Where a server is, as the end of a text; nothing of one that a client of the caller leads to."""
    return f" at {connection.url}" if "://" in connection.url else ""


async def unserved(store: Store) -> str:
    """The end of an error's text if no worker serves the queue; nothing if one does, or nobody can tell."""
    with suppress(Exception):  # whatever it is, it must not hide that the time is over
        async with asyncio.timeout(ASK_S):
            if not (await store.reads.count()).workers:
                return f"; no worker serves {store.queue!r}{place_of(store.connection)}"

    return ""
