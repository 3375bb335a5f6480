"""Tasks: how long one may take, how it ended, how several ended, and how one that several wait for."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Iterable
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


async def all_settled(awaited: Iterable[Awaitable[T]]) -> list[T | BaseException]:
    """The result of each, or its error, when all have ended. They run side by side.

    asyncio.gather with return_exceptions is not used in its place: where the last one of its awaitables has ended
    when the caller is cancelled, the CancelledError comes without its message (it does up to Python 3.13). anyio
    knows its own cancellations by that message. So the error would leave the `move_on_after` that it came from.
    """
    tasks = [asyncio.ensure_future(each) for each in awaited]
    canceled: asyncio.CancelledError | None = None

    while left := [task for task in tasks if not task.done()]:
        try:
            await asyncio.wait(left)
        except asyncio.CancelledError as error:
            if canceled is not None:
                continue  # anyio cancels again and again; the tasks are cleaning up

            canceled = error

            for task in left:
                task.cancel(*error.args)

    if canceled is not None:
        raise canceled

    ends: list[T | BaseException] = []

    for task in tasks:
        failure = asyncio.CancelledError() if task.cancelled() else task.exception()
        ends.append(task.result() if failure is None else failure)

    return ends


async def shared(task: asyncio.Task[T]) -> T:
    """The result of a task for which others may wait, too. It goes on if the caller is cancelled.

    Raises:
        ConnectionResetError: the task was cancelled. Awaiting the task itself would raise CancelledError here, and
            that would end a caller whom nobody has cancelled.

    """
    await asyncio.wait((task,))

    if task.cancelled():
        raise ConnectionResetError("it was closed meanwhile")

    return task.result()


def see_end(task: asyncio.Task[Any]) -> None:
    """Read how a task has ended. Otherwise asyncio reports its error as one that nobody saw."""
    if not task.cancelled():
        task.exception()
