"""Tasks: how long one may take, and how it ended."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable
from typing import Any, TypeVar

T = TypeVar("T")


async def within(awaited: Awaitable[T], seconds: float) -> T:
    """The result of what is awaited. A TimeoutError says if it takes longer."""
    try:
        async with asyncio.timeout(None if seconds == math.inf else seconds) as limit:
            return await awaited
    except TimeoutError:
        if limit.expired():
            raise TimeoutError(f"no answer within {seconds:.3g} s") from None

        raise


def see_end(task: asyncio.Task[Any]) -> None:
    """Read how a task has ended. Otherwise asyncio reports its error as one that nobody saw."""
    if not task.cancelled():
        task.exception()
