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


async def touch_no_address(path: str) -> None:
    """Ends its process with SIGSEGV."""
    note(path, "start")
    ctypes.string_at(0)


async def take_memory(size: int) -> int:
    """A block of so many bytes."""
    return len(bytearray(size))


def take_memory_bit_by_bit(size: int) -> int:
    """As many bytes in blocks of 64 KiB, on a thread."""
    return sum(len(block) for block in [bytearray(65_536) for _ in range(size // 65_536)])


async def return_much(size: int) -> bytes:
    """Has room for what it returns, but its copy may have none."""
    return bytes(size)


async def take_descriptors(path: str, seconds: float) -> int:
    """Opens all files that the process may, and gives them back some time later."""
    taken = []

    with Path(path).open("a") as file:
        try:
            while True:
                taken.append(os.open("/dev/null", os.O_RDONLY))
        except OSError:
            print("full", file=file, flush=True)
            await asyncio.sleep(seconds)
            return len(taken)
        finally:
            for each in taken:
                os.close(each)
