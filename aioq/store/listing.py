"""Listing: the ids of the jobs in one state, page by page.

A page is one short call, wherever in the list it is, and its reply says where the next one begins: at a job, and
not at a number of jobs. So a job that stays in its state is given exactly once, whatever others come or go. One
that comes or goes meanwhile is given or not.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from operator import itemgetter
from typing import Any, Literal

from aioq.values.states import JobStatus

#: Entries that one call looks at: one to two ms of the server's time, in which it answers nobody else. While lists
#: of 300,000 jobs are read without a pause, the p99 of others' commands is 4 to 7 ms; with 1000 it was 9 to 15.
PAGE = 500


#: Stands for the callbacks that wait or run, which are in no list of jobs.
CALLBACKS: Literal["callbacks"] = "callbacks"
Callbacks = Literal["callbacks"]


class Listing:
    """An asynchronous iterator over pages of ids, none of them empty.

    Waiting jobs come in the order in which they will be claimed, started ones by when they were started, scheduled
    ones by when they are due, all others by when they ended.

    Args:
        ask: calls `ids.lua`: its arguments up to `before`.
        state: the state; or CALLBACKS, for the callbacks that wait or run.
        offset: so many jobs are passed over. Of waiting jobs, that takes as many calls as to list them.
        limit: the most ids (None: all).
        desc: the last one first.
        size: the most ids of a page (None: as many as one call may bring).
        before_ms: of a registry, only jobs that entered it up to this moment (None: all).
        is_closed: of a registry, only jobs that entered it up to the first call.

    """

    def __init__(
        self,
        ask: Callable[..., Awaitable[Any]],
        state: JobStatus | Callbacks,
        offset: int = 0,
        limit: int | None = None,
        *,
        desc: bool = False,
        size: int | None = None,
        before_ms: int | None = None,
        is_closed: bool = False,
    ) -> None:
        self._ask = ask
        self._state = state
        self._offset = offset
        self._limit = limit
        self._desc = desc
        self._size = PAGE if size is None else min(size, PAGE)
        self._before_ms = before_ms
        self._is_closed = is_closed
        self._cursor = b""
        self._is_over = False
        self._ready: list[str] = []  # ids that do not fit into the page they came with
        #: The server's clock in ms at the first call; 0 before it.
        self.began_ms: int = 0

    def __aiter__(self) -> Listing:
        return self

    async def __anext__(self) -> list[str]:
        while not self._ready and not self._is_over:
            self._ready = await (self._started() if self._state == JobStatus.STARTED else self._next())

        page, self._ready = self._ready[: self._size], self._ready[self._size :]

        if not page:
            raise StopAsyncIteration

        return page

    async def _next(self) -> list[str]:
        """What one call brings. There may be nothing in it although there is more."""
        most = self._size if self._limit is None else min(self._size, self._limit)
        ids, skipped, _ = await self._call(most, self._offset)
        self._offset -= skipped

        if self._limit is not None:
            ids = ids[: self._limit]
            self._limit -= len(ids)
            self._is_over = self._is_over or not self._limit

        return ids

    async def _started(self) -> list[str]:
        """All of them: the server has them in another order, and they are no more than workers have slots."""
        rows: list[tuple[int, str]] = []

        while not self._is_over:
            ids, _, started = await self._call(PAGE)
            rows += zip(started, ids, strict=True)

        rows.sort(key=itemgetter(0))
        ids = [job_id for _, job_id in (reversed(rows) if self._desc else rows)]

        return ids[self._offset :][: self._limit]

    async def _call(self, limit: int, skip: int = 0) -> tuple[list[str], int, list[int]]:
        """Ids, how many jobs were passed over, and when each of the ids was started if that is the state."""
        is_reversed = self._desc and self._state != JobStatus.STARTED
        order = "desc" if is_reversed else "asc"
        before = "" if self._before_ms is None else self._before_ms
        reply = await self._ask(self._state, self._cursor, skip, limit, PAGE, order, before)
        _, ids, clock, cursor, skipped, started, _ = reply
        self.began_ms = self.began_ms or int(clock)

        if self._is_closed and self._before_ms is None:
            self._before_ms = self.began_ms

        self._cursor, self._is_over = cursor, not cursor

        return [job_id.decode(errors="backslashreplace") for job_id in ids], int(skipped), started
