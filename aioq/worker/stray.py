"""Stray cancellations: what a loop of the worker awaits was cancelled, and nobody has cancelled the loop."""

from __future__ import annotations

import asyncio


def is_stray(error: BaseException) -> bool:
    """Whether it is a CancelledError although nobody has asked the current task to end.

    Such an error would end a loop that the worker rests on, and the worker would seem to have been stopped.
    asyncio and anyio both count the cancellations of a task. So a task that has none has met one that was meant
    for something else.
    """
    task = asyncio.current_task()

    return isinstance(error, asyncio.CancelledError) and task is not None and not task.cancelling()
