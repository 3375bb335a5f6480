"""Listener: one subscription for a whole process; whoever listens to a channel shares it."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass

import redis.exceptions as failures
from redis.asyncio.client import PubSub

from aioq.store.script import Command
from aioq.values.errors import ServerError

Handler = Callable[[bytes], None]

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
        make: a new subscription, on a connection of its own.
        translated: turns redis-py's errors about a command into those of aioq.

    """

    def __init__(
        self, make: Callable[[], PubSub], translated: Callable[[Command], AbstractContextManager[None]]
    ) -> None:
        self._make = make
        self._translated = translated
        self._channels: dict[str, Channel] = {}
        self._task: asyncio.Task[None] | None = None
        self._pubsub = make()
        self._turn = asyncio.Lock()

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
            # Others may come to wait for it too, so it must not end with the caller that was the first.
            found.opening = loop.create_task(self._open(channel, found))

        if not found.confirmed.done():
            await asyncio.shield(found.confirmed)

    async def aclose(self) -> None:
        tasks = [channel.opening for channel in self._channels.values()]

        for task in (self._task, *tasks):
            if task is not None:
                task.cancel()

                with suppress(asyncio.CancelledError):
                    await task

        await self._drop()

    async def _open(self, name: str, channel: Channel) -> None:
        try:
            with self._translated(("SUBSCRIBE", name)):
                async with self._turn:
                    await self._pubsub.subscribe(name)
        except ServerError as error:
            self._refuse(name, channel, error)

            if self._task is None:  # nobody reads who would notice; the next attempt may find another server
                async with self._turn:
                    await self._drop()
                    self._pubsub = self._make()
        else:
            if self._task is None:
                self._task = asyncio.get_running_loop().create_task(self._run())

    def _refuse(self, name: str, channel: Channel, error: ServerError) -> None:
        self._channels.pop(name, None)

        if not channel.confirmed.done():
            channel.confirmed.set_exception(error)
            channel.confirmed.exception()  # seen, even if all who waited have given up

    async def _run(self) -> None:
        while True:
            try:
                await self._read()
            except failures.ResponseError as error:
                self._refuse_new(error)
            except (failures.RedisError, OSError):
                await self._subscribe_again()

    async def _read(self) -> None:
        message = await self._pubsub.get_message(timeout=10)
        channel = None if message is None else self._channels.get(message["channel"].decode())

        if message is None or channel is None:
            return

        if message["type"] == "subscribe":
            if channel.confirmed.done():  # not for the first time: it was interrupted
                channel.missed()
            else:
                channel.confirmed.set_result(None)
        elif message["type"] == "message":
            try:
                channel.handler(message["data"])
            except Exception:  # noqa: BLE001 - a message of another version, say, must not end all listening
                channel.missed()

    def _refuse_new(self, error: Exception) -> None:
        """The server has refused a subscription; it does not say which one."""
        for name, channel in list(self._channels.items()):
            if not channel.confirmed.done():
                try:
                    with self._translated(("SUBSCRIBE", name)):
                        raise error
                except ServerError as refusal:
                    self._refuse(name, channel, refusal)

    async def _subscribe_again(self) -> None:
        pause = 0.05

        while not await self._tried_to_subscribe():
            await asyncio.sleep(pause * (0.5 + random.random()))  # noqa: S311 - spreads a crowd, no secret
            pause = min(2 * pause, LONGEST_PAUSE)

    async def _tried_to_subscribe(self) -> bool:
        async with self._turn:
            await self._drop()
            self._pubsub = self._make()

            try:
                await self._pubsub.subscribe(*self._channels)
            except (failures.RedisError, OSError):
                return False

        return True

    async def _drop(self) -> None:
        await self._pubsub.aclose()
        await self._pubsub.connection_pool.disconnect()
