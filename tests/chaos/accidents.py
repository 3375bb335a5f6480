"""Jobs that do what they must not."""

from __future__ import annotations

import asyncio
import ctypes
import os
import warnings
from pathlib import Path

from tests import jobs
from tests.system.jobs import note


async def fork() -> int:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # later versions of Python warn of a fork beside threads
        child = os.fork()

    if child == 0:
        os._exit(7)

    _, status = await asyncio.to_thread(os.waitpid, child, 0)

    return os.waitstatus_to_exitcode(status)


def loop_of_its_own(number: int) -> int:
    return asyncio.run(jobs.add(number, 1))


def hold_the_interpreter(path: str, seconds: int) -> str:
    """Sleeps in C code without letting any other thread run, in its first run."""
    first = not Path(path).exists()
    note(path, "start")

    if first:
        ctypes.PyDLL(None).sleep(seconds)

    note(path, "end")

    return str(os.getpid())
