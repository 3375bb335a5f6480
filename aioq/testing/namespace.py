"""Namespace: the part of a server that is one test's own: its queues, and its time."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, ExitStack
from datetime import datetime, timedelta
from types import TracebackType
from typing import Any, Self

from aioq.client.parts import part_of
from aioq.client.queue import Queue
from aioq.store import Connection, Directory, Store
from aioq.store.connection import PREFIX_VARIABLE
from aioq.store.keys import TEST_PREFIX
from aioq.store.net.url import URL_VARIABLES
from aioq.store.time_travel import advance, check_namespace, clear, now_in
from aioq.testing.server import cleaner_of, server_url
from aioq.values.durations import Duration, positive_ms
from aioq.values.errors import InvalidInput, InvalidType


@part_of("TestKit")
class Namespace:
    """The part of a kit that has the queues and the time of a test.

    Args:
        url: the server; None: as `server_url` finds it.

    """

    def __init__(self, url: str | None = None) -> None:
        self.url = server_url(url)
        self.prefix = f"{TEST_PREFIX}{secrets.token_hex(6)}"
        self.connection = Connection(self.url, prefix=self.prefix)
        check_namespace(self.connection)
        self._queues: dict[str, Queue] = {}
        self._changed = ExitStack()

    @property
    def environment(self) -> Mapping[str, str]:
        """The variables by which a program finds this namespace: another process, or an application that opens
        its queues by the environment.
        """
        return {URL_VARIABLES[0]: self.url, PREFIX_VARIABLE: self.prefix}

    def queue(self, name: str = "default", **queue_options: Any) -> Queue:
        """A queue of this namespace.

        Args:
            name: as for `Queue`.
            **queue_options: as for `Queue`, such as `serializer="json"`. Without any, a name has one Queue here.

        """
        if queue_options:
            return Queue(name, self.connection, **queue_options)

        if name not in self._queues:
            self._queues[name] = Queue(name, self.connection)

        return self._queues[name]

    def redirect(self, queue: Queue) -> AbstractContextManager[object]:
        """Let a queue of the application be one of this namespace until the kit is closed.

        Args:
            queue: its options stay; tasks that were made of it go along.

        Returns:
            A context manager, at whose end the queue is as before.

        Raises:
            InvalidType: it is no Queue.

        Example:
            >>> kit.redirect(shop.queue)  # doctest: +SKIP

        """
        if not isinstance(queue, Queue):
            raise InvalidType(f"queue={queue!r}: expected a Queue, not {type(queue).__name__}")

        before = queue.redirect(Store(self.connection, queue.name, queue.store.exceptions))

        return self._undone_by(lambda: queue.redirect(before))

    # Time

    async def now(self) -> datetime:
        """What the clock of this namespace says. `datetime.now()` knows nothing of `advance`."""
        return await now_in(self.connection)

    async def advance(
        self,
        by: Duration | None = None,
        *,
        leases: bool = False,
        days: float = 0,
        hours: float = 0,
        minutes: float = 0,
        seconds: float = 0,
    ) -> datetime:
        """Let time pass in this namespace: everything that the server decides by its clock is as if it had.

        Schedules and retries get due, `ttl` and retentions run out, workers that serve its queues are woken. A
        `job_timeout`, a sleep in a job and the time of other namespaces do not move.

        Args:
            by: a duration.
            days: another form of it, like those that follow.
            hours: as days.
            minutes: as days.
            seconds: as days.
            leases: the leases of workers run out, too: jobs of those that are gone come back (default False).

        Returns:
            What the clock says now.

        Raises:
            InvalidInput: the duration is not more than 0.

        Example:
            >>> await kit.advance(hours=2)  # doctest: +SKIP

        """
        parts = timedelta(days=days, hours=hours, minutes=minutes, seconds=seconds)

        if by is not None and parts:
            raise InvalidInput(f"by={by!r}: expected one duration, and {parts} is another one")

        await advance(self.connection, positive_ms(parts if by is None else by, "by"), leases=leases)

        if leases:
            await self._reclaim()

        return await self.now()

    # The end

    async def aclose(self) -> None:
        """Undo what was redirected and overridden, and remove what is stored in this namespace."""
        self._changed.close()
        await clear(self.connection, self.prefix)
        await self.connection.aclose()

    def close(self) -> None:
        """As `aclose`, for code that runs in no event loop, such as a plain fixture."""
        self._changed.close()
        cleaner_of(self.url).clear(self.prefix)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    def __repr__(self) -> str:
        return f"<TestKit {self.prefix}>"

    def _undone_by(self, undo: Callable[[], object]) -> ExitStack:
        """What undoes a change, at its end or with the kit."""
        change = ExitStack()
        change.callback(undo)
        self._changed.callback(change.close)

        return change

    async def _names(self) -> list[str]:
        return await Directory(self.connection).queues()

    async def _reclaim(self) -> None:
        """Let the jobs of workers whose lease has ended come back, as another worker would."""
        for name in await self._names():
            duty = Store(self.connection, name).duty

            for worker in await duty.late_workers():
                while (await duty.reclaim(worker))[0]:
                    pass
