"""The queues of the server, each on a line."""

from __future__ import annotations

import asyncio

from aioq.web.page import Ask, Facts, Page


async def read(ask: Ask) -> Facts:
    """Three round trips: names, numbers, and the jobs that are next."""
    (sights, away), now_ms = await asyncio.gather(ask.board.queues(), ask.board.now_ms())

    return {"sights": sights, "away": away, "now_ms": now_ms}


PAGE = Page("queues", "/queues", read, "Queues")
