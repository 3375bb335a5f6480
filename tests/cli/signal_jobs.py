"""Jobs that change how their process handles signals."""

from __future__ import annotations

import asyncio
import os
import signal
import threading


async def ignore() -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)


async def reset() -> None:
    signal.signal(signal.SIGTERM, signal.SIG_DFL)


async def own() -> None:
    signal.signal(signal.SIGTERM, lambda *_: None)


async def own_of_the_loop() -> None:
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, lambda: None)


async def take_away() -> None:
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, lambda: None)
    loop.remove_signal_handler(signal.SIGTERM)


async def no_wakeup() -> None:
    signal.set_wakeup_fd(-1)


async def own_wakeup() -> None:
    _, there = os.pipe()
    os.set_blocking(there, False)
    signal.set_wakeup_fd(there)


async def block() -> None:
    """In the main thread: the kernel gives the signal to another one."""
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])


async def serve() -> None:
    """What uvicorn does while it serves."""
    before = {number: signal.signal(number, lambda *_: None) for number in (signal.SIGINT, signal.SIGTERM)}
    await asyncio.sleep(0.4)

    for number, handler in before.items():
        signal.signal(number, handler)


JOBS = (ignore, reset, own, own_of_the_loop, take_away, no_wakeup, own_wakeup, block, serve)

#: Those after which something else stands in the place of the worker's handler.
REPLACE = (ignore, reset, own, own_of_the_loop, take_away, serve)


async def nap(seconds: float) -> str:
    await asyncio.sleep(seconds)
    return threading.current_thread().name
