"""Listener: one subscription for a whole event loop. All who listen to channels share it."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from aioq.store.net.refusals import refusal, unreachable
from aioq.store.net.stream import ReplyError
from aioq.store.net.subscription import Subscription
from aioq.values.errors import ServerError

Handler = Callable[[bytes], None]

#: Makes a subscription that calls this with what it hears.
Open = Callable[[Callable[[Any], None]], Awaitable[Subscription]]

#: The first and the longest pause between two attempts to subscribe again, in seconds.
SHORTEST_PAUSE_S, LONGEST_PAUSE_S = 0.05, 2.0

log = logging.getLogger("aioq.store")


@dataclass(slots=True)
class Channel:
    """The handler of what is published, and whether the server has confirmed the subscription."""

    handler: Handler
    missed: Callable[[], None]
    confirmed: asyncio.Future[None]
    opening: asyncio.Task[None] | None = None


class Listener:
    """Calls a handler for each message of its channel, over lost connections and restarts, in one event loop.

    Args:
        url: names the server in errors.
        open_subscription: a new subscription, on a connection of its own.

    """

    def __init__(self, url: str, open_subscription: Open) -> None:
        self._url = url
        self._open_subscription = open_subscription
        self._channels: dict[str, Channel] = {}
        self._names: dict[bytes, str] = {}
        self._subscription: Subscription | None = None
        self._resubscribing: asyncio.Task[None] | None = None
        self._turn = asyncio.Lock()

    @property
    def hears(self) -> bool:
        """Whether what is published is heard now."""
        return self._subscription is not None and self._subscription.is_open

    async def listen(self, channel: str, handler: Handler, missed: Callable[[], None]) -> None:
        """Subscribe; on return the server sends what is published.

        Args:
            channel: where messages are published.
            handler: called with each message; it must not block.
            missed: called when messages may have been missed, as soon as new ones are heard again.

        Raises:
            ServerError: the server cannot be reached, or refuses.

        """
        found = self._channels.get(channel)

        if found is None:
            loop = asyncio.get_running_loop()
            found = self._channels[channel] = Channel(handler, missed, loop.create_future())
            self._names[channel.encode()] = channel
            # Others may come to wait for it too, so it must not end with the caller that was the first.
            found.opening = loop.create_task(self._open(channel, found))

        if not found.confirmed.done():
            await asyncio.shield(found.confirmed)

    async def aclose(self) -> None:
        """End the subscription. Calls of `listen` that are under way fail; a later one opens another one."""
        channels, self._channels = self._channels, {}
        self._names.clear()
        subscription, self._subscription = self._subscription, None
        tasks = [channel.opening for channel in channels.values()]
        tasks.append(self._resubscribing)
        self._resubscribing = None
        running = [task for task in tasks if task is not None and not task.done()]

        for task in running:
            task.cancel()

        for channel in channels.values():
            _fail(channel, unreachable(self._url, ConnectionResetError("it was closed meanwhile")))

        try:
            if running:
                await asyncio.wait(running)
        finally:
            if subscription is not None:
                await subscription.aclose()

    async def _open(self, name: str, channel: Channel) -> None:
        try:
            async with self._turn:
                if self._subscription is not None and self._subscription.is_open:
                    self._subscription.subscribe((name,))
                else:
                    await self._subscribe_to_all()
        except Exception as error:  # noqa: BLE001 - whatever it is, it is raised to those who wait for the channel
            self._refuse(name, channel, error)
        else:
            if self._resubscribing is None:
                self._resubscribing = asyncio.get_running_loop().create_task(self._resubscribe())

    async def _subscribe_to_all(self) -> None:
        self._subscription = await self._open_subscription(self._hear)
        self._subscription.subscribe(tuple(self._channels))

    async def _resubscribe(self) -> None:
        """Subscribe again whenever the connection is lost. All listeners depend on this, so no error ends it."""
        pause = SHORTEST_PAUSE_S

        while True:
            try:
                if self._subscription is not None:
                    await self._subscription.closed()

                async with self._turn:
                    if not self.hears:
                        await self._subscribe_to_all()

                pause = SHORTEST_PAUSE_S
                continue
            except ServerError as error:  # the server is away; each waiting call asks again when it is back
                log.debug("what is published cannot be heard yet: %s", error)
            except Exception:
                log.exception("what is published cannot be heard; it is tried again")

            await asyncio.sleep(pause * (0.5 + random.random()))  # noqa: S311 - spreads a crowd, no secret
            pause = min(2 * pause, LONGEST_PAUSE_S)

    def _hear(self, reply: Any) -> None:
        """Pass on what the connection has brought. An error must not end it, since all listeners share it."""
        try:
            self._pass_on(reply)
        except Exception:
            log.exception("what the server has published could not be passed on: %.200r", reply)

    def _pass_on(self, reply: Any) -> None:
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
            except Exception as error:  # noqa: BLE001 - a message of another version, or a forged one
                log.warning("a message cannot be read, so the server is asked: %r (%.200r)", error, data)
                channel.missed()
        elif channel.confirmed.done():  # not for the first time: it was interrupted
            channel.missed()
        else:
            channel.confirmed.set_result(None)

    def _refuse(self, name: str, channel: Channel, error: Exception) -> None:
        if self._channels.get(name) is channel:
            del self._channels[name], self._names[name.encode()]

        _fail(channel, error)

    def _refuse_new(self, error: ReplyError) -> None:
        """The server has refused a subscription; it does not say which one."""
        for name, channel in list(self._channels.items()):
            if not channel.confirmed.done():
                self._refuse(name, channel, refusal(self._url, error, ("SUBSCRIBE", name)))


def _fail(channel: Channel, error: Exception) -> None:
    if not channel.confirmed.done():
        channel.confirmed.set_exception(error)
        channel.confirmed.exception()  # seen, even if all who waited have given up
