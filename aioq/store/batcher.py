"""Batcher: calls that arrive together travel together (group commit).

A call that comes when nothing is under way goes at once, in its caller's own task: a lone one is not delayed.
What arrives during that round trip waits for its end and then goes as one batch; when many wait, a second batch
leaves before the first is back, so that client and server work at the same time. There is no timer; the server's
own pace sets the size of the batches. A thousand concurrent enqueues take five round trips instead of a thousand.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

Item = TypeVar("Item")
Answer = TypeVar("Answer")

#: The most items, and roughly the most bytes, of one batch: a script stays in the range of milliseconds.
MAX_ITEMS = 250
MAX_BYTES = 524_288

#: Round trips under way at the same time, and how many items must wait before a second one leaves.
FLIGHTS = 2
MANY = 100


class Batcher(Generic[Item, Answer]):
    """Turns single calls into batches.

    Args:
        send: one round trip for a list of items; answers in the same order.
        weigh: bytes of an item.

    """

    __slots__ = ("_flights", "_send", "_tasks", "_waiting", "_weigh")

    def __init__(
        self,
        send: Callable[[Sequence[Item]], Awaitable[Sequence[Answer]]],
        weigh: Callable[[Item], int],
    ) -> None:
        self._send = send
        self._weigh = weigh
        self._waiting: deque[tuple[Item, asyncio.Future[Answer]]] = deque()
        self._flights = 0
        self._tasks: set[asyncio.Task[None]] = set()

    async def submit(self, item: Item) -> Answer:
        """The answer for one item; an error of the round trip is raised to every caller in it."""
        if self._flights:
            future: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
            self._waiting.append((item, future))

            if len(self._waiting) == MANY:
                self._depart()

            return await future

        self._flights = 1

        try:
            return (await self._send([item]))[0]
        finally:
            self._flights -= 1
            self._depart()

    def _depart(self) -> None:
        # The batch of others must not die with the caller whose turn it was, so it has a task of its own.
        if self._waiting and self._flights < FLIGHTS:
            self._flights += 1
            task = asyncio.get_running_loop().create_task(self._flush())
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _flush(self) -> None:
        try:
            while len(self._waiting) >= MANY or (self._waiting and self._flights == 1):
                if batch := self._take():
                    await self._carry(batch)
        except asyncio.CancelledError:  # only when the loop is closing
            for _, future in self._waiting:
                future.cancel()

            self._waiting.clear()
            raise
        finally:
            self._flights -= 1

            if not self._flights:  # the last to end sees to those that came too late for both
                self._depart()

    async def _carry(self, batch: list[tuple[Item, asyncio.Future[Answer]]]) -> None:
        try:
            answers = await self._send([item for item, _ in batch])

            for (_, future), answer in zip(batch, answers, strict=True):
                if not future.done():
                    future.set_result(answer)
        except BaseException as error:
            for _, future in batch:
                if not future.done():
                    if isinstance(error, Exception):
                        future.set_exception(error)
                    else:
                        future.cancel()

            if not isinstance(error, Exception):
                raise

    def _take(self) -> list[tuple[Item, asyncio.Future[Answer]]]:
        batch: list[tuple[Item, asyncio.Future[Answer]]] = []
        size = 0

        while self._waiting and len(batch) < MAX_ITEMS and size < MAX_BYTES:
            item, future = self._waiting.popleft()

            if not future.done():  # its caller was cancelled while it waited: nothing is written for it
                batch.append((item, future))
                size += self._weigh(item)

        return batch
