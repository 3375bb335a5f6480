"""The jobs of a soak. Each notes its number in a file of its worker's own, so that a lost one is found."""

from __future__ import annotations

import asyncio
import os
from functools import cache

from aioq import get_current_job

#: How long a job takes, in seconds.
NAP = 0.01


@cache
def _file(folder: str) -> int:
    return os.open(f"{folder}/ran-{os.getpid()}", os.O_CREAT | os.O_APPEND | os.O_WRONLY)


def note(folder: str, number: int) -> None:
    os.write(_file(folder), b"%d\n" % number)


async def nap() -> None:
    await asyncio.sleep(NAP)


async def work(folder: str, number: int) -> int:
    await asyncio.sleep(NAP)
    note(folder, number)
    return number


async def fail(folder: str, number: int) -> None:
    await work(folder, number)
    raise ValueError(f"{number} fails on purpose")


async def fail_first(folder: str, number: int) -> int:
    """Fails in its first attempt; only the second one is noted."""
    if get_current_job().attempt == 1:
        raise ValueError(f"{number} fails once on purpose")
    return await work(folder, number)


def on_a_thread(folder: str, number: int) -> int:
    note(folder, number)
    return number
