"""Jobs that do what they must not."""

from __future__ import annotations

import asyncio
import ctypes
import os
import warnings
from collections import defaultdict
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


#: What the jobs of one process have done, in its order.
done: defaultdict[str, list[str]] = defaultdict(list)


async def fail(key: str) -> None:
    done[key].append("bad")
    raise ConnectionError("what it depends on is away")


async def succeed(key: str) -> None:
    done[key].append("good")


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
    """Opens all files that the process may, also for what others close meanwhile; at last it closes them."""
    loop, taken = asyncio.get_running_loop(), []
    ends = loop.time() + seconds

    with Path(path).open("a") as file:
        while loop.time() < ends:
            try:
                taken.append(os.open("/dev/null", os.O_RDONLY))
            except OSError:
                print("full", file=file, flush=True)
                await asyncio.sleep(0)

    for each in taken:
        os.close(each)

    return len(taken)
