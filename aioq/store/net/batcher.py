"""Batcher: calls that are made together are sent together (group commit).

A call is sent at once, in its caller's own task, if no round trip is under way. So a single call is not delayed.
Calls that are made during a round trip wait for its end, and are then sent as one batch. A full batch does not
wait: the caller who completes it sends it, in its own task. So the server works on the first hundred of a thousand
calls while the others are still being prepared. There is no timer: the pace of the server sets the size of the
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

#: So many items do not wait for the round trips that are under way. There may be so many round trips.
FULL_ITEMS = 100
MOST_UNDER_WAY = 8


class Batcher(Generic[Item, Answer]):
    """Turns single calls into batches.

    Args:
        send: one round trip for a list of items; answers in the same order. It may be repeated.
        weigh: bytes of an item.

    """

    __slots__ = ("_send", "_tasks", "_under_way", "_waiting", "_weigh")

    def __init__(
        self,
        send: Callable[[Sequence[Item]], Awaitable[Sequence[Answer]]],
        weigh: Callable[[Item], int],
    ) -> None:
        self._send = send
        self._weigh = weigh
        self._waiting: deque[tuple[Item, asyncio.Future[Answer]]] = deque()
        self._under_way = 0
        self._tasks: set[asyncio.Task[None]] = set()

    async def submit(self, item: Item) -> Answer:
        """The answer for one item; an error of the round trip is raised to every caller in it."""
        future: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._waiting.append((item, future))

        if not self._under_way or (len(self._waiting) >= FULL_ITEMS and self._under_way < MOST_UNDER_WAY):
            self._under_way += 1

            try:
                await self._send_batch()
            except BaseException:  # it was cancelled: the others are sent again, and this one is not
                future.cancel()
                raise

        return await future

    async def _send_batch(self) -> None:
        batch = self._next_batch()

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
            self._received()

    def _received(self) -> None:
        """A round trip is over. Send what waits, if it is a full batch or if no other round trip is under way."""
        self._under_way -= 1

        if self._waiting and (not self._under_way or len(self._waiting) >= FULL_ITEMS):
            self._under_way += 1
            task = asyncio.get_running_loop().create_task(self._send_batch())
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    def _next_batch(self) -> list[tuple[Item, asyncio.Future[Answer]]]:
        batch: list[tuple[Item, asyncio.Future[Answer]]] = []
        size = 0

        while self._waiting and len(batch) < MAX_ITEMS and size < MAX_BYTES:
            item, future = self._waiting.popleft()

            if not future.done():  # its caller was cancelled while it waited: nothing is written for it
                batch.append((item, future))
                size += self._weigh(item)

        return batch
