"""Mailbox: wait for the ends of jobs without polling, and without a connection for each waiter.

A process has one channel for each queue that it waits on. `wait.lua` writes the channel into the record, and
the script that ends the job publishes to it; a job that nobody waits for publishes nothing.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Awaitable, Callable, Sequence
from typing import NamedTuple

from aioq.store.batcher import Batcher
from aioq.store.listener import Listener
from aioq.values.record import Fields

#: What `wait` answers for one job: its fields ({}: gone), or ms until it expires (-1: never).
Standing = Fields | int

#: After this long the server is asked again in any case.
LONGEST_MS = 86_400_000


class Ending(NamedTuple):
    """How a job ended: its status, and either the bytes of its result or error, or all of its fields."""

    status: str
    value: bytes | None
    fields: Fields | None


class Mailbox:
    """The waits of one process for the jobs of one queue.

    Args:
        listener: the subscription of the process.
        channel: makes a channel's name from a random word.
        ask: one round trip: registers the channel for these jobs and says where they stand.

    """

    def __init__(
        self,
        listener: Listener,
        channel: Callable[[str], str],
        ask: Callable[[str, Sequence[str]], Awaitable[Sequence[Standing]]],
    ) -> None:
        self._listener = listener
        self._channel = channel(secrets.token_hex(8))
        self._waits: dict[str, tuple[asyncio.Future[Ending | None], int]] = {}
        self._asking: Batcher[str, Standing] = Batcher(lambda ids: ask(self._channel, ids), lambda _: 30)

    async def wait(self, job_id: str) -> Ending:
        """How the job ended, as soon as it has. A job that is gone, or goes, has the status "deleted"."""
        await self._listener.listen(self._channel, self._receive, self._ask_again)

        while True:
            # The wait is on the list before the server is asked, so that no message can fall in between.
            future = self._expect(job_id)

            try:
                standing = await self._asking.submit(job_id)

                if not isinstance(standing, int):
                    status = standing[b"status"].decode(errors="replace") if standing else "deleted"

                    return Ending(status, None, standing or None)

                ending = await self._until(future, standing)
            finally:
                self._leave(job_id, future)

            if ending is not None:
                return ending

    def _expect(self, job_id: str) -> asyncio.Future[Ending | None]:
        future, users = self._waits.get(job_id) or (asyncio.get_running_loop().create_future(), 0)
        self._waits[job_id] = future, users + 1

        return future

    def _leave(self, job_id: str, future: asyncio.Future[Ending | None]) -> None:
        """The last one to leave takes the wait off the list, so that waits given up do not pile up."""
        current, users = self._waits.get(job_id, (None, 0))

        if current is future:
            if users == 1:
                del self._waits[job_id]
            else:
                self._waits[job_id] = future, users - 1

    async def _until(self, future: asyncio.Future[Ending | None], expires_in_ms: int) -> Ending | None:
        """The ending, or None if the server must be asked again."""
        if expires_in_ms < 0:
            return await asyncio.shield(future)

        try:
            async with asyncio.timeout(min(expires_in_ms, LONGEST_MS) / 1000 + 0.002):
                return await asyncio.shield(future)
        except TimeoutError:
            return None

    def _receive(self, message: bytes) -> None:
        at = 0

        while at < len(message):
            end = message.index(b"\n", at)
            job_id, status, length = message[at:end].decode().split(" ")
            at = end + 1
            value = None

            if length != "-":
                if not length.isdecimal():  # a negative one would lead back, for ever
                    raise ValueError(f"{length!r} is not a length")

                value = message[at : at + int(length)]
                at += int(length)

            self._settle(job_id, Ending(status, value, None))

    def _settle(self, job_id: str, ending: Ending | None) -> None:
        future, _ = self._waits.pop(job_id, (None, 0))

        if future is not None and not future.done():
            future.set_result(ending)

    def _ask_again(self) -> None:
        for job_id in list(self._waits):
            self._settle(job_id, None)
