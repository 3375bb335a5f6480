"""Calling: from a thread without an event loop to one that makes the call."""

from __future__ import annotations

import inspect
import sys
from collections.abc import AsyncGenerator, Callable, Coroutine, Iterator
from types import FrameType
from typing import Any, ParamSpec, TypeVar

from aioq.client.across import call_across
from aioq.client.context import get_current_job
from aioq.store.net.per_loop import running_loop
from aioq.sync.loop import background
from aioq.values.errors import WrongContext

T = TypeVar("T")
P = ParamSpec("P")

#: What the asyncio form of a call is called, where the names differ.
_ASYNCIO_NAMES = {"close": "aclose", "__exit__": "aclose"}


def run(function: Callable[P, Coroutine[Any, Any, T]], /, *args: P.args, **kwargs: P.kwargs) -> T:
    """Call a coroutine function, and wait for what it returns.

    The call is made on the worker's event loop inside of a job, and else on that of this process. It must not run
    code of the user's: that belongs on the user's thread.

    Raises:
        WrongContext: an event loop runs on this thread, which would be blocked.
        Others: what the function raises.

    """
    if running_loop() is not None and not _is_cell():
        raise _would_block()

    job = get_current_job()
    loop = None if job is None else job.worker_loop

    return call_across(background.loop() if loop is None else loop, function, *args, **kwargs)


def iterate(items: AsyncGenerator[T]) -> Iterator[T]:
    """The items of an asynchronous generator. It goes on when the next one is asked for."""

    async def following() -> tuple[T] | None:
        try:
            return (await anext(items),)
        except StopAsyncIteration:
            return None

    async def close() -> None:
        await items.aclose()

    try:
        while (found := run(following)) is not None:
            yield found[0]
    finally:
        run(close)


def _is_cell() -> bool:
    """Whether the code that calls is a cell of a notebook.

    A notebook runs its cells inside of its own event loop. That loop waits for the cell in any case, so a call in
    it takes nothing away. A coroutine is another thing: others of its loop can go on while it waits.
    """
    frame: FrameType | None = sys._getframe(1)  # noqa: SLF001 - the only way to it

    while frame is not None and not frame.f_code.co_flags & (inspect.CO_COROUTINE | inspect.CO_ASYNC_GENERATOR):
        frame = frame.f_back

    # The innermost coroutine is the one that runs the cell, or a cell with `await`, which that one awaits.
    return frame is not None and (_is_notebook(frame) or (frame.f_back is not None and _is_notebook(frame.f_back)))


def _is_notebook(frame: FrameType) -> bool:
    return _module(frame).partition(".")[0] in ("IPython", "ipykernel")


def _module(frame: FrameType) -> str:
    return str(frame.f_globals.get("__name__"))


def _would_block() -> WrongContext:
    frame: FrameType | None = sys._getframe(1)  # noqa: SLF001 - the only way to it
    name = ""

    while frame is not None and _module(frame).startswith("aioq."):
        if _module(frame).startswith("aioq.sync."):
            name = frame.f_code.co_name  # the outermost one is what the user has called

        frame = frame.f_back

    return WrongContext(
        f"{name}: a call of aioq.sync would block the event loop that runs on this thread. In a coroutine, use the"
        f" classes of aioq: `await ….{_ASYNCIO_NAMES.get(name, name)}(…)`"
    )
