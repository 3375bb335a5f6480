"""Batcher: calls that arrive together travel together (group commit).

A call that comes when nothing is under way goes at once, in its caller's own task: a lone one is not delayed.
What arrives during that round trip waits for its end and then goes as one batch. There is no timer; the server's
own pace sets the size of the batches. A thousand concurrent enqueues take three round trips instead of a thousand.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

Item = TypeVar("Item")
Answer = TypeVar("Answer")

#: The most items, and roughly the most bytes, of one batch: a script stays in the range of milliseconds.
MAX_ITEMS = 500
MAX_BYTES = 524_288


class Batcher(Generic[Item, Answer]):
    """Turns single calls into batches.

    Args:
        send: one round trip for a list of items; answers in the same order.
        weigh: bytes of an item.

    """

    __slots__ = ("_busy", "_flight", "_send", "_waiting", "_weigh")

    def __init__(
        self,
        send: Callable[[Sequence[Item]], Awaitable[Sequence[Answer]]],
        weigh: Callable[[Item], int],
    ) -> None:
        self._send = send
        self._weigh = weigh
        self._waiting: deque[tuple[Item, asyncio.Future[Answer]]] = deque()
        self._busy = False
        self._flight: asyncio.Task[None] | None = None

    async def submit(self, item: Item) -> Answer:
        """The answer for one item; an error of the round trip is raised to every caller in it."""
        if self._busy:
            future: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
            self._waiting.append((item, future))

            return await future

        self._busy = True

        try:
            return (await self._send([item]))[0]
        finally:
            self._next()

    def _next(self) -> None:
        # The batch of others must not die with the caller whose turn it was, so it has a task of its own.
        if self._waiting:
            self._flight = asyncio.get_running_loop().create_task(self._flush())
        else:
            self._busy = False

    async def _flush(self) -> None:
        try:
            while self._waiting:
                batch = self._take()

                if not batch:
                    continue

                try:
                    answers = await self._send([item for item, _ in batch])

                    for (_, future), answer in zip(batch, answers, strict=True):
                        if not future.done():
                            future.set_result(answer)
                except Exception as error:  # noqa: BLE001 - it belongs to the callers, and is raised to them
                    for _, future in batch:
                        if not future.done():
                            future.set_exception(error)
        finally:
            self._flight = None
            self._busy = False

            for _, future in self._waiting:  # only if this task itself was cancelled: the loop is closing
                future.cancel()

            self._waiting.clear()

    def _take(self) -> list[tuple[Item, asyncio.Future[Answer]]]:
        batch: list[tuple[Item, asyncio.Future[Answer]]] = []
        size = 0

        while self._waiting and len(batch) < MAX_ITEMS and size < MAX_BYTES:
            item, future = self._waiting.popleft()

            if not future.done():  # its caller was cancelled while it waited: nothing is written for it
                batch.append((item, future))
                size += self._weigh(item)

        return batch
