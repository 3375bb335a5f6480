"""Listener: one subscription for a whole process; whoever listens to a channel shares it."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from aioq.store.translation import refusal
from aioq.store.wire import ReplyError, Subscription
from aioq.values.errors import ServerError

Handler = Callable[[bytes], None]

#: Makes a subscription that calls this with what it hears.
Open = Callable[[Callable[[Any], None]], Awaitable[Subscription]]

#: The longest pause between two attempts to subscribe again, in seconds.
LONGEST_PAUSE = 2.0


@dataclass(slots=True)
class Channel:
    """Who hears what is published, and whether the server has confirmed the subscription."""

    handler: Handler
    missed: Callable[[], None]
    confirmed: asyncio.Future[None]
    opening: asyncio.Task[None] | None = None


class Listener:
    """Calls a handler for each message of its channel, over lost connections and restarts.

    Args:
        url: names the server in errors.
        open_subscription: a new subscription, on a connection of its own.

    """

    def __init__(self, url: str, open_subscription: Open) -> None:
        self._url = url
        self._open_subscription = open_subscription
        self._loop: asyncio.AbstractEventLoop | None = None
        self._begin()

    def _begin(self) -> None:
        self._channels: dict[str, Channel] = {}
        self._names: dict[bytes, str] = {}
        self._subscription: Subscription | None = None
        self._keeper: asyncio.Task[None] | None = None
        self._turn = asyncio.Lock()

    @property
    def hears(self) -> bool:
        """Whether what is published is heard now, in this event loop."""
        return (
            self._subscription is not None
            and self._subscription.is_open
            and self._loop is asyncio.get_running_loop()
        )

    async def listen(self, channel: str, handler: Handler, missed: Callable[[], None]) -> None:
        """Subscribe; on return the server sends what is published.

        Args:
            channel: where messages are published.
            handler: called with each message; it must not block.
            missed: called when messages may have been missed, as soon as new ones are heard again.

        Raises:
            ServerError: the server cannot be reached, or refuses.

        """
        loop = asyncio.get_running_loop()

        if loop is not self._loop:
            # The one before has ended, and took its subscription along: nobody there waits any more.
            self._loop = loop
            self._begin()

        found = self._channels.get(channel)

        if found is None:
            found = self._channels[channel] = Channel(handler, missed, loop.create_future())
            self._names[channel.encode()] = channel
            # Others may come to wait for it too, so it must not end with the caller that was the first.
            found.opening = loop.create_task(self._open(channel, found))

        if not found.confirmed.done():
            await asyncio.shield(found.confirmed)

    async def aclose(self) -> None:
        if self._loop is not asyncio.get_running_loop():
            return

        tasks = [channel.opening for channel in self._channels.values()]

        for task in (self._keeper, *tasks):
            if task is not None:
                task.cancel()

                with suppress(asyncio.CancelledError):
                    await task

        if self._subscription is not None:
            await self._subscription.aclose()

        self._begin()

    async def _open(self, name: str, channel: Channel) -> None:
        try:
            async with self._turn:
                if self._subscription is not None and self._subscription.is_open:
                    self._subscription.subscribe((name,))
                else:
                    await self._subscribe_to_all()
        except ServerError as error:
            self._refuse(name, channel, error)
        else:
            if self._keeper is None:
                self._keeper = asyncio.get_running_loop().create_task(self._keep())

    async def _subscribe_to_all(self) -> None:
        self._subscription = await self._open_subscription(self._hear)
        self._subscription.subscribe(tuple(self._channels))

    async def _keep(self) -> None:
        """Subscribe again whenever the connection is lost."""
        while True:
            assert self._subscription is not None
            await self._subscription.closed()
            pause = 0.05

            while not await self._tried():
                await asyncio.sleep(pause * (0.5 + random.random()))  # noqa: S311 - spreads a crowd, no secret
                pause = min(2 * pause, LONGEST_PAUSE)

    async def _tried(self) -> bool:
        async with self._turn:
            if self._subscription is not None and self._subscription.is_open:
                return True

            try:
                await self._subscribe_to_all()
            except ServerError:
                return False

        return True

    def _hear(self, reply: Any) -> None:
        if isinstance(reply, ReplyError):
            self._refuse_new(reply)
            return

        if not isinstance(reply, list) or reply[0] not in (b"subscribe", b"message"):
            return  # it has answered a question

        kind, name, data = reply
        channel = self._channels.get(self._names.get(name, ""))

        if channel is None:
            return

        if kind == b"message":
            try:
                channel.handler(data)
            except Exception:  # noqa: BLE001 - a message of another version, say, must not end all listening
                channel.missed()
        elif channel.confirmed.done():  # not for the first time: it was interrupted
            channel.missed()
        else:
            channel.confirmed.set_result(None)

    def _refuse(self, name: str, channel: Channel, error: ServerError) -> None:
        if self._channels.pop(name, None) is not None:
            del self._names[name.encode()]

        if not channel.confirmed.done():
            channel.confirmed.set_exception(error)
            channel.confirmed.exception()  # seen, even if all who waited have given up

    def _refuse_new(self, error: ReplyError) -> None:
        """The server has refused a subscription; it does not say which one."""
        for name, channel in list(self._channels.items()):
            if not channel.confirmed.done():
                self._refuse(name, channel, refusal(self._url, error, ("SUBSCRIBE", name)))
