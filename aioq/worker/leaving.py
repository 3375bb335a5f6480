"""Leaving: how a process that runs jobs ends: in time, whatever tasks and threads the jobs have left behind.

Python waits for both without a limit: `asyncio.run` for the tasks, the interpreter for the threads.
"""

from __future__ import annotations

import asyncio
import atexit
import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from typing import Any

from aioq.worker.forks import SIGNALS

log = logging.getLogger("aioq.cli")

#: How long tasks left behind by jobs may take to end after they were cancelled, in seconds.
TASKS_S = 1.0

#: How long remaining threads may take to end, and after them the handlers of `atexit`, in seconds.
THREADS_S = 1.0
HANDLERS_S = 1.5

#: Whether this process has run jobs.
_is_limited = False


def complete(loop: asyncio.AbstractEventLoop, task: asyncio.Future[Any]) -> None:
    """Run the loop until a task is done, whatever tasks of jobs raise on it.

    If a task raises SystemExit or KeyboardInterrupt, asyncio also raises it out of the running loop. A task that a
    job has started must not end the worker in that way, so the loop goes on.
    """
    while not task.done():
        try:
            loop.run_until_complete(task)
        except (SystemExit, KeyboardInterrupt) as error:
            if not task.done():
                log.error("a task of a job raised %r; the worker goes on", error)  # noqa: TRY400 - it has the trace


def close(loop: asyncio.AbstractEventLoop) -> None:
    """Cancel the remaining tasks of a loop, give them some time, and close the loop."""
    global _is_limited  # noqa: PLW0603 - there is one process, and one end of it
    _is_limited = True
    loop.set_task_factory(None)  # a job may have left one that raises
    left = asyncio.all_tasks(loop)

    for task in left:
        task.cancel()

    complete(loop, loop.create_task(_clean_up(loop, left)))

    for task in left:
        if not task.done():
            log.warning("a task that a job has left behind ignores that it was cancelled: %r", task)
            task._log_destroy_pending = False  # type: ignore[attr-defined] # noqa: SLF001 - it has been told

    loop.close()  # it does not wait for the threads of its executor


async def _clean_up(loop: asyncio.AbstractEventLoop, left: set[asyncio.Task[Any]]) -> None:
    with suppress(TimeoutError):
        async with asyncio.timeout(TASKS_S):
            if left:
                await asyncio.wait(left)

            await loop.shutdown_asyncgens()

    for task in left:
        if task.done() and not task.cancelled() and (error := task.exception()) is not None:
            log.error("a task that a job has left behind raised an error at the end", exc_info=error)


@contextmanager
def limited_exit() -> Iterator[None]:
    """Make sure that the process ends after this block, whatever its jobs have left behind."""
    code = 0

    try:
        yield
    except SystemExit as error:
        code = error.code if isinstance(error.code, int) else 0 if error.code is None else 1

        raise
    except BaseException:
        code = 1

        raise
    finally:
        flush()

        if _is_limited:
            _limit(code)


def _limit(code: int) -> None:
    """Let the interpreter end the process while it makes progress. Signals have no effect any more."""
    for number in SIGNALS:
        signal.signal(number, lambda *_: None)

    handlers, is_late = threading.Event(), threading.Event()

    # Both are started now: later the interpreter may refuse to start threads.
    for target in (partial(_watch, handlers, is_late, code), partial(_end, is_late, code)):
        threading.Thread(target=target, name="aioq-exit", daemon=True).start()

    atexit.register(handlers.set)  # the last one registered is called first, when all threads have ended


def _watch(handlers: threading.Event, is_late: threading.Event, code: int) -> None:
    time.sleep(THREADS_S)

    if not handlers.is_set():
        is_late.set()

    time.sleep(HANDLERS_S)
    os._exit(code)


def _end(is_late: threading.Event, code: int) -> None:
    """Do what the interpreter does after all threads have ended. A locked log must not hold up `_watch`."""
    is_late.wait()
    names = [
        thread.name
        for thread in threading.enumerate()
        if not thread.daemon and thread is not threading.main_thread()
    ]
    log.warning("the process ends now, although these threads are still blocked: %s", ", ".join(names))
    atexit._run_exitfuncs()  # noqa: SLF001 - the interpreter's own way to them
    flush()
    os._exit(code)


def flush() -> None:
    """Write the buffers of stdout and stderr. Text without a reader is dropped and does not fail the exit."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except Exception:  # noqa: BLE001 - whatever a job has put there
            with suppress(Exception):
                number = stream.fileno()
                sink = os.open(os.devnull, os.O_WRONLY)
                os.dup2(sink, number)
                os.close(sink)
