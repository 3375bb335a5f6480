"""Main: the event loop of a process whose work is a worker, or a pool of them, from its begin to its end."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any, TypeAlias

from aioq.client.loops import new_event_loop
from aioq.values.errors import WorkerError
from aioq.worker import leaving
from aioq.worker.signals import StopSignals

#: Called at the moment at which the worker serves, with what asks the worker to stop.
Serves: TypeAlias = Callable[[Callable[[], None]], None]

#: What makes the main task.
Main: TypeAlias = Callable[[Serves], Coroutine[Any, Any, None]]


def run_to_end(main: Main) -> int:
    """Run the worker to its end, whatever jobs raise into the event loop.

    Signals never raise here. They cancel the main task until the worker serves; from then on the worker handles
    them. One that came just before is passed on to it.

    Args:
        main: makes the main task.

    Returns:
        The exit code: 0, or 128 and the number of the signal that came before the worker served.

    Raises:
        WorkerError: a job has cancelled the worker.

    """
    received: list[int] = []
    request_stop: Callable[[], None] | None = None

    def note_that_it_serves(request: Callable[[], None]) -> None:
        nonlocal request_stop
        request_stop = request
        # What is there now stays, and Python need not look through it again: while it looks through a large
        # application, the loop stands still.
        gc.collect()
        gc.freeze()

    def end(number: int) -> None:
        if request_stop is not None:
            request_stop()
        else:
            received.append(number)
            task.cancel()

    loop = new_event_loop()
    task = loop.create_task(main(note_that_it_serves))

    with StopSignals(loop, end):
        try:
            with suppress(asyncio.CancelledError):
                leaving.complete(loop, task)
        finally:
            leaving.close(loop)

    if task.cancelled():
        if not received:
            raise WorkerError("a job has cancelled the worker")

        return 128 + received[0]

    task.result()

    return 0
