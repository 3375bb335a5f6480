"""Mailbox: wait for the ends of jobs without polling, and without a connection for each waiter.

A process has one channel for each queue that it waits on. `wait.lua` writes the channel into the record, and
the script that ends the job publishes to it; a job that nobody waits for publishes nothing. A process that waits
for most of its jobs waits ahead: it enqueues them with the channel in their records, and need not ask for them.
"""

from __future__ import annotations

import asyncio
import random
import secrets
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import NamedTuple

from aioq.store.net.batcher import Batcher
from aioq.store.net.listener import Listener
from aioq.values.errors import ServerUnreachable
from aioq.values.signed import Fields

#: What `wait` answers for one job: its fields ({}: gone), or ms until it expires (-1: never).
Standing = Fields | int

#: Every so many seconds the server is asked for the jobs that were waited for already the last time, and have not
#: ended. A record may have been deleted, and nobody tells of that; or a message was lost between two servers.
ASK_AGAIN_S = 12.0

#: A question that has met nobody is asked again after a pause of so many seconds: each is twice the one before.
SHORTEST_PAUSE_S, LONGEST_PAUSE_S = 0.1, 2.0

#: Each answered wait adds two to a mailbox's habit, and each enqueued job takes one off, down to 0. So the habit
#: grows while more than half of the jobs are waited for. From the first number on, the mailbox waits ahead. The
#: second number is the maximum.
HABIT_TO_WAIT_AHEAD = 100
STRONGEST_HABIT = 1000

#: The most jobs that are waited for ahead, and the most bytes of a result that is kept until someone asks for it.
MOST_JOBS_AHEAD = 4096
LONGEST_KEPT_BYTES = 1024

#: A wait that was entered ahead asks the server after this many seconds, as other waits do when they begin. The
#: record may have been lost, or nobody may be able to tell of its end.
ASK_AHEAD_AFTER_S = 1.0


class Ending(NamedTuple):
    """How a job ended: its status, and either the bytes of its result or error, or all of its fields."""

    status: str
    value: bytes | None
    fields: Fields | None


class Mailbox:
    """The waits of one event loop for the jobs of one queue.

    Args:
        listener: the subscription of the event loop.
        channel: makes a channel's name from a random word.
        ask: one round trip: registers the channel for these jobs and says where they stand.
        insists: another server may take over from one that is away, so that a wait begins by asking for it again.

    """

    def __init__(
        self,
        listener: Listener,
        channel: Callable[[str], str],
        ask: Callable[[str, Sequence[str]], Awaitable[Sequence[Standing]]],
        *,
        insists: bool = False,
    ) -> None:
        self._listener = listener
        self._insists = insists
        self.channel: str = channel(secrets.token_hex(8))
        self._waits: dict[str, list[asyncio.Future[Ending | None]]] = {}
        self._old: list[str] = []  # jobs that were waited for when it was asked last
        self._timer: asyncio.TimerHandle | None = None
        self._asking: Batcher[str, Standing] = Batcher(lambda ids: ask(self.channel, ids), lambda _: 30)
        # Jobs whose records have had the channel from the start, and how they ended once that was heard.
        self._ahead: OrderedDict[str, Ending | None] = OrderedDict()
        self._habit = 0

    async def wait(self, job_id: str, limit: float | None = None) -> Ending:
        """How the job ended, as soon as it has. A job that is gone, or goes, has the status "deleted".

        Args:
            job_id: the job.
            limit: how long to wait, in seconds (None: for ever; 0: ask once).

        Raises:
            TimeoutError: it has not ended by then.
            ServerUnreachable: nobody was there to ask when the wait began. A wait that has begun goes on.

        """
        deadline = None if limit is None else asyncio.get_running_loop().time() + limit
        ending = None

        if job_id in self._ahead:
            ending = self._ahead[job_id] or await self._hear(job_id, ASK_AHEAD_AFTER_S if limit is None else limit)
            self._ahead.pop(job_id, None)

        if ending is None and limit == 0:
            ending = await self._ask_until_ended(job_id)
        elif ending is None:
            async with asyncio.timeout_at(deadline):
                ending = await self._ask(job_id, deadline)

        self._habit = min(self._habit + 2, STRONGEST_HABIT)

        return ending

    def waits_ahead(self, jobs: int) -> bool:
        """Whether so many jobs, which are about to be enqueued, are likely to be waited for."""
        self._habit = max(self._habit - jobs, 0)

        return self._habit >= HABIT_TO_WAIT_AHEAD and self._listener.hears

    def expect(self, job_id: str) -> None:
        """The job is about to be enqueued with the channel. Of too many, the oldest are asked for after all."""
        self._ahead[job_id] = None

        if len(self._ahead) > MOST_JOBS_AHEAD:
            self._ahead.popitem(last=False)

    def forget(self, ids: Iterable[str]) -> None:
        """The server is asked for these jobs again."""
        for job_id in ids:
            self._ahead.pop(job_id, None)

    async def _ask(self, job_id: str, deadline: float | None) -> Ending:
        has_begun, pause = self._insists, SHORTEST_PAUSE_S

        while True:
            # The wait is on the list before the server is asked, so that no message can fall in between.
            future = self._enter(job_id)

            try:
                await self._listener.listen(self.channel, self._receive, self._ask_again)
                standing = await self._asking.submit(job_id)

                if not isinstance(standing, int):
                    # The message may have come to another wait of this loop meanwhile. It has the value, also of a
                    # job whose result is not kept.
                    return (future.result() if future.done() else None) or _ending(standing)

                has_begun, pause = True, SHORTEST_PAUSE_S
                ending = await self._until(future, standing)
            except ServerUnreachable:
                if not has_begun or _is_over(deadline, pause):
                    raise

                ending = None
                await asyncio.sleep(pause * (0.5 + random.random()))  # noqa: S311 - spreads a crowd, no secret
                pause = min(2 * pause, LONGEST_PAUSE_S)
            finally:
                self._leave(job_id, future)

            if ending is not None:
                return ending

    async def _ask_until_ended(self, job_id: str) -> Ending:
        """How the job has ended. One question is given the time that it takes.

        Raises:
            TimeoutError: it has not ended.

        """
        standing = await self._asking.submit(job_id)

        if isinstance(standing, int):
            raise TimeoutError

        return _ending(standing)

    async def _hear(self, job_id: str, limit: float) -> Ending | None:
        """The ending, from a message; None if the server must be asked."""
        future = self._enter(job_id)
        timer = future.get_loop().call_later(min(limit, ASK_AHEAD_AFTER_S), _give_up, future)

        try:
            return await future
        finally:
            timer.cancel()
            self._leave(job_id, future)

    async def _until(self, future: asyncio.Future[Ending | None], expires_in_ms: int) -> Ending | None:
        """The ending, or None if the server must be asked again."""
        if expires_in_ms < 0:
            return await future

        try:
            async with asyncio.timeout(expires_in_ms / 1000 + 0.002):
                return await future
        except TimeoutError:
            return None

    def _enter(self, job_id: str) -> asyncio.Future[Ending | None]:
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Ending | None] = loop.create_future()
        self._waits.setdefault(job_id, []).append(future)

        if self._timer is None:
            self._timer = loop.call_later(ASK_AGAIN_S, self._ask_for_old)

        return future

    def _leave(self, job_id: str, future: asyncio.Future[Ending | None]) -> None:
        """The last one to leave takes the wait off the list, so that waits given up do not pile up."""
        futures = self._waits.get(job_id)

        if futures is not None and future in futures:
            futures.remove(future)

            if not futures:
                del self._waits[job_id]

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

                if at > len(message):
                    raise ValueError(f"{length} bytes are announced, and {len(value)} have come")

            self._end_wait(job_id, Ending(status, value, None))

    def _end_wait(self, job_id: str, ending: Ending | None) -> None:
        futures = self._waits.pop(job_id, None)

        if futures is None:
            self._remember(job_id, ending)
            return

        self._ahead.pop(job_id, None)

        for future in futures:
            if not future.done():
                future.set_result(ending)

    def _remember(self, job_id: str, ending: Ending | None) -> None:
        """Until someone waits. Only what has finished stays as it is: other ends can be followed by a requeue."""
        if job_id not in self._ahead:
            return

        if ending is not None and ending.status == "finished" and len(ending.value or b"") <= LONGEST_KEPT_BYTES:
            self._ahead[job_id] = ending
        else:
            del self._ahead[job_id]

    def _ask_again(self) -> None:
        """Messages may have been missed."""
        self._ahead.clear()

        for job_id in list(self._waits):
            self._end_wait(job_id, None)

    def _ask_for_old(self) -> None:
        """One timer for all waits, so that they ask together: each after one to two of its periods."""
        self._timer = (
            asyncio.get_running_loop().call_later(ASK_AGAIN_S, self._ask_for_old) if self._waits else None
        )
        old, self._old = self._old, []

        for job_id in old:
            if job_id in self._waits:
                self._end_wait(job_id, None)

        self._old = list(self._waits)


def _ending(fields: Fields) -> Ending:
    """How a job has ended that the server was asked for."""
    return Ending(fields[b"status"].decode(errors="replace") if fields else "deleted", None, fields or None)


def _is_over(deadline: float | None, pause: float) -> bool:
    """Whether there is no time to ask again after a pause."""
    return deadline is not None and asyncio.get_running_loop().time() + pause >= deadline


def _give_up(future: asyncio.Future[Ending | None]) -> None:
    if not future.done():
        future.set_result(None)
