"""Listener: one subscription for a whole process; whoever listens to a channel shares it."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from contextlib import suppress

import redis.exceptions as failures
from redis.asyncio.client import PubSub

Handler = Callable[[bytes], None]

#: The longest pause between two attempts to subscribe again, in seconds.
LONGEST_PAUSE = 2.0


class Listener:
    """Calls a handler for each message of its channel, over lost connections and restarts.

    Args:
        make: a new subscription, on a connection of its own.

    """

    def __init__(self, make: Callable[[], PubSub]) -> None:
        self._make = make
        self._handlers: dict[str, tuple[Handler, Callable[[], None]]] = {}
        self._task: asyncio.Task[None] | None = None
        self._pubsub = make()
        self._confirmed: dict[str, asyncio.Event] = {}

    async def listen(self, channel: str, handler: Handler, missed: Callable[[], None]) -> None:
        """Subscribe; on return the server sends what is published.

        Args:
            channel: where messages are published.
            handler: called with each message; it must not raise or block.
            missed: called when the subscription was interrupted, so that messages may have been missed.

        """
        if channel not in self._handlers:
            self._handlers[channel] = handler, missed
            self._confirmed[channel] = asyncio.Event()

            await self._pubsub.subscribe(channel)

            if self._task is None:
                self._task = asyncio.get_running_loop().create_task(self._run())

        await self._confirmed[channel].wait()

    async def aclose(self) -> None:
        if self._task is not None:
            self._task.cancel()

            with suppress(asyncio.CancelledError):
                await self._task

        await self._drop()

    async def _run(self) -> None:
        while True:
            try:
                await self._read()
            except (failures.RedisError, OSError):
                await self._subscribe_again()

    async def _read(self) -> None:
        message = await self._pubsub.get_message(timeout=10)

        if message is None:
            return

        channel = message["channel"].decode()

        if message["type"] == "subscribe":
            self._confirmed[channel].set()
        elif message["type"] == "message" and channel in self._handlers:
            self._handlers[channel][0](message["data"])

    async def _subscribe_again(self) -> None:
        pause = 0.05

        while True:
            try:
                await self._drop()
                self._pubsub = self._make()
                await self._pubsub.subscribe(*self._handlers)
            except (failures.RedisError, OSError):
                await asyncio.sleep(pause * (0.5 + random.random()))  # noqa: S311 - spreads a crowd, no secret
                pause = min(2 * pause, LONGEST_PAUSE)
            else:
                break

        for _, missed in self._handlers.values():
            missed()

    async def _drop(self) -> None:
        await self._pubsub.aclose()
        await self._pubsub.connection_pool.disconnect()
