"""What belongs to event loops, while many threads begin and end loops of their own."""

from __future__ import annotations

import asyncio
import sys
import threading
from collections.abc import Iterator

import pytest

from aioq.store.net.per_loop import PerLoop, track


class Socket:
    """An open connection of a loop that goes on."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop

    def abandon(self) -> None:
        raise AssertionError("its loop is not closed")

    def disown(self) -> None:
        """Nothing is forked here."""


@pytest.fixture
def quick_turns() -> Iterator[None]:
    """Threads take turns as often as they can."""
    usual = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(usual)


@pytest.mark.chaos
async def test_threads_open_connections_while_others_look_for_ended_loops(quick_turns: None) -> None:
    loop, stop = asyncio.get_running_loop(), threading.Event()
    opened: list[Socket] = []
    per_loop = PerLoop(object)

    def open_some() -> None:
        while not stop.is_set() and len(opened) < 50_000:
            socket = Socket(loop)
            opened.append(socket)
            track(socket)

    threads = [threading.Thread(target=open_some) for _ in range(4)]

    for thread in threads:
        thread.start()

    try:
        for _ in range(100):
            per_loop.drop_ended()
    finally:
        stop.set()

        for thread in threads:
            thread.join()
