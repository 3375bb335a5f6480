"""The event loops that aioq starts itself: that of the worker's process, and that of calls without one."""

from __future__ import annotations

import asyncio
from importlib.util import find_spec


def new_event_loop() -> asyncio.AbstractEventLoop:
    """A new event loop, of uvloop if that is installed."""
    if find_spec("uvloop") is None:
        return asyncio.new_event_loop()

    import uvloop  # noqa: PLC0415 - an extra

    return uvloop.new_event_loop()
