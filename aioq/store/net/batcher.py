"""Batcher: calls that arrive together travel together (group commit).

A call that comes when nothing is under way goes at once, in its caller's own task: a lone one is not delayed.
What arrives during that round trip waits for its end and then goes as one batch. When MANY are together, they go
without waiting, in the task of the caller who made them so many: the server is at work on the first hundred of a
thousand while the others are still being prepared. There is no timer; the server's own pace sets the size of the
batches. A thousand concurrent enqueues take a dozen round trips instead of a thousand.
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

#: How many items go without waiting for the round trips that are under way, and how many of these there may be.
MANY = 100
FLIGHTS = 8


class Batcher(Generic[Item, Answer]):
    """Turns single calls into batches.

    Args:
        send: one round trip for a list of items; answers in the same order. It may be repeated.
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
        future: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._waiting.append((item, future))

        if not self._flights or (len(self._waiting) >= MANY and self._flights < FLIGHTS):
            self._flights += 1

            try:
                await self._carry()
            except BaseException:  # cancelled: the others are sent again, and this one is not
                future.cancel()
                raise

        return await future

    async def _carry(self) -> None:
        batch = self._take()

        try:
            if batch:
                answers = await self._send([item for item, _ in batch])

                for (_, future), answer in zip(batch, answers, strict=True):
                    if not future.done():
                        future.set_result(answer)
        except Exception as error:  # noqa: BLE001 - it is raised to every caller
            for _, future in batch:
                if not future.done():
                    future.set_exception(error)
        except BaseException:
            # The batch of others must not die with the caller in whose task it was. It is sent again.
            self._waiting.extendleft(each for each in reversed(batch) if not each[1].done())
            raise
        finally:
            self._land()

    def _land(self) -> None:
        """A round trip is over. What waits goes next, if it is many, or if there is nothing else to wait for."""
        self._flights -= 1

        if self._waiting and (not self._flights or len(self._waiting) >= MANY):
            self._flights += 1
            task = asyncio.get_running_loop().create_task(self._carry())
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    def _take(self) -> list[tuple[Item, asyncio.Future[Answer]]]:
        batch: list[tuple[Item, asyncio.Future[Answer]]] = []
        size = 0

        while self._waiting and len(batch) < MAX_ITEMS and size < MAX_BYTES:
            item, future = self._waiting.popleft()

            if not future.done():  # its caller was cancelled while it waited: nothing is written for it
                batch.append((item, future))
                size += self._weigh(item)

        return batch
