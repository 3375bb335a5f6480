"""Jobs that do what they must not."""

from __future__ import annotations

import asyncio
import os
import warnings

from tests import jobs


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
