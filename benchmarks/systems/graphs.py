"""Graphs: jobs that wait for others, for systems in which a job names those that it waits for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

Call = tuple[Any, ...]
Function = Callable[..., Any]


class Client(Protocol):
    """What a client of such a system has."""

    async def enqueue_many(self, job: Function, calls: Sequence[Call]) -> list[Any]: ...

    async def enqueue_after(self, job: Function, calls: Sequence[Call], others: Sequence[Any]) -> list[Any]:
        """Many jobs, each of which waits for all of the others, which are enqueued already."""


class Graphs:
    """The shapes of a graph. Each gives the handles in the order of the calls."""

    async def fan_out(self: Client, job: Function, calls: Sequence[Call]) -> list[Any]:
        """All wait for the first."""
        first = await self.enqueue_many(job, calls[:1])

        return first + await self.enqueue_after(job, calls[1:], first)

    async def fan_in(self: Client, job: Function, calls: Sequence[Call]) -> list[Any]:
        """The last waits for all others."""
        others = await self.enqueue_many(job, calls[:-1])

        return others + await self.enqueue_after(job, calls[-1:], others)

    async def chain(self: Client, job: Function, calls: Sequence[Call]) -> list[Any]:
        """Each waits for the one before."""
        handles: list[Any] = []

        for call in calls:
            handles += await self.enqueue_after(job, [call], handles[-1:])

        return handles
