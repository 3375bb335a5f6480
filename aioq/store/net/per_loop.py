"""PerLoop: what belongs to one event loop, kept by loop. Every loop gets its own, and so does a forked child.

Sockets, futures and tasks work in one event loop only, and a program may have many loops: one after another, or
one in each of its threads. So everything in the store that holds such things is kept in a PerLoop. What it holds
for a loop is closed when the loop ends: `asyncio.run` ends a loop's asynchronous generators, and one of them does
the closing. A loop that was closed without that is noticed when another loop comes, and its connections are closed
then.

A forked child has copies of the parent's sockets. Nothing may be sent there, and closing one in the usual way
would take it out of the parent's event loop. So in the child their descriptors are made to lead nowhere.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import suppress
from typing import Any, Protocol, TypeVar
from weakref import WeakValueDictionary

from aioq.values.errors import WrongContext

__all__ = ["PerLoop", "check_loop", "close_without_loop", "lead_nowhere", "running_loop", "track"]

Held = TypeVar("Held")
Loop = asyncio.AbstractEventLoop

#: The running event loop. Unlike the public function it gives None where there is none. Every call goes by here.
running_loop = asyncio._get_running_loop  # noqa: SLF001 - asyncio exports it for libraries that must ask


class Socket(Protocol):
    """An open connection, as far as it must be known here."""

    loop: Loop

    def abandon(self) -> None:
        """Close it without its event loop, which has been closed."""

    def disown(self) -> None:
        """Give it up in a forked child: it is the parent's."""


#: All connections that are open, all PerLoops, and in a forked child what its parent kept in them. That is never
#: collected: the end of an object could reach into the parent's event loop.
_sockets: WeakValueDictionary[int, Socket] = WeakValueDictionary()
_kept: WeakValueDictionary[int, PerLoop[Any]] = WeakValueDictionary()
_inherited: list[object] = []


class PerLoop(dict[Loop | None, Held]):
    """One thing for each event loop: `per_loop[running_loop()]` makes it when it is first used there.

    Args:
        make: makes it, in the loop that it is for.
        close: closes it, in the same loop. It may be called more than once, and be used again afterwards.

    """

    def __init__(self, make: Callable[[], Held], close: Callable[[Held], Awaitable[None]] | None = None) -> None:
        super().__init__()
        self._make = make
        self._close = close
        self._ends: dict[Loop | None, AsyncGenerator[None]] = {}
        _kept[id(self)] = self

    def __missing__(self, loop: Loop | None) -> Held:
        check_loop()
        self.drop_ended()
        held = self[loop] = self._make()

        if self._close is not None:
            self._ends[loop] = end = _until_end(self._close, held)

            with suppress(StopIteration):  # it has begun, so the loop knows it; it needs nobody who awaits it
                end.__anext__().send(None)

        return held

    async def aclose(self) -> None:
        """Close what the running loop has, and what loops that have ended have left open."""
        check_loop()
        self.drop_ended()
        held = self.get(running_loop())

        if held is not None and self._close is not None:
            await self._close(held)

    def drop_ended(self) -> None:
        """Forget loops that have been closed, and close the connections that they have left open."""
        for socket in _living(_sockets):
            if socket.loop.is_closed():
                _sockets.pop(id(socket), None)
                socket.abandon()

        for loop in list(self):
            if loop is not None and loop.is_closed():
                self.pop(loop, None)
                self._ends.pop(loop, None)

    def disown(self) -> None:
        """Forget everything in a forked child: it is the parent's."""
        _inherited.append((dict(self), self._ends))
        self._ends = {}
        self.clear()


def check_loop() -> None:
    """Refuse to work where no event loop of asyncio runs.

    Raises:
        WrongContext: it says so, and what to do.

    """
    if running_loop() is None:
        raise WrongContext(
            "aioq needs asyncio, and no event loop of asyncio runs here. In plain code use aioq.sync,"
            " or asyncio.run(…) around the call. A program that runs on trio must run on asyncio instead"
            ' (for instance anyio.run(main, backend="asyncio"))'
        )


def track(socket: Socket) -> None:
    """Note an open connection, so that it ends with its event loop and is not used by a forked child."""
    _sockets[id(socket)] = socket


def _living(known: WeakValueDictionary[int, Held]) -> list[Held]:
    """A list of them at this moment. Other threads may add some, so the dictionary itself is not iterated."""
    return [each for each in (reference() for reference in known.valuerefs()) if each is not None]


def close_without_loop(transport: Any) -> None:
    """Close a transport whose event loop has been closed. There is no public way: it closes by its loop."""
    transport.set_protocol(asyncio.Protocol())  # who waited there has ended with the loop

    with suppress(RuntimeError):  # it is marked as closing first, and fails to tell the loop then
        transport.abort()

    # That of TLS leads to the one that has the socket. uvloop has closed its own sockets together with the loop.
    inner = getattr(getattr(transport, "_ssl_protocol", None), "_transport", None) or transport
    end: Callable[[None], None] | None = getattr(inner, "_call_connection_lost", None)

    if end is not None:
        with suppress(RuntimeError):
            end(None)


def lead_nowhere(transport: Any) -> None:
    """Make the descriptor of an open transport one of the null device, in a forked child.

    What is written there reaches nobody, and when it is closed, or taken out of the event loop that the parent's
    kernel knows it by, the parent's connection is left alone.
    """
    with suppress(OSError):  # no descriptor is free, say; nobody uses it in any case
        null = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)

        try:
            os.dup2(null, transport.get_extra_info("socket").fileno(), inheritable=False)
        finally:
            os.close(null)


async def _until_end(close: Callable[[Held], Awaitable[None]], held: Held) -> AsyncGenerator[None]:
    """Closes what is held when its event loop ends its asynchronous generators."""
    try:
        yield
    finally:
        await close(held)


def _after_fork() -> None:
    for per_loop in _living(_kept):
        per_loop.disown()

    sockets = _living(_sockets)

    for socket in sockets:
        socket.disown()

    _inherited.append(sockets)
    _sockets.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
