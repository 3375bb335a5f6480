"""Adapters: what a benchmark asks of a queue, in one form for all. One file each, imported when it is used."""

from __future__ import annotations

import asyncio
import importlib
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any, NamedTuple, Protocol

#: All systems. Those that are not measured in a benchmark are left out by its `SYSTEMS`.
NAMES = ("aioq", "floor")

Job = Callable[..., Any]


class Seen(NamedTuple):
    """A job as it is stored: its first argument, or its result once it has ended."""

    ended: bool
    value: Any


class Client(Protocol):
    """The producer's side. A handle is whatever the system returns for a job."""

    def __init__(self, url: str) -> None: ...

    async def enqueue(self, job: Job, *args: Any) -> Any:
        """One job, awaited."""

    async def enqueue_many(self, job: Job, calls: Sequence[tuple[Any, ...]]) -> list[Any]:
        """The system's way for many jobs."""

    async def enqueue_at(self, moment: datetime, job: Job, *args: Any) -> Any:
        """One job for later."""

    async def result(self, handle: Any) -> Any:
        """Wait for a job's end; what it returned."""

    async def look(self, handles: Sequence[Any]) -> list[Seen]:
        """How jobs are stored. The runs are verified with it."""

    async def waiting(self) -> int:
        """How many jobs wait for a worker."""

    async def scheduled(self) -> int:
        """How many jobs wait for their moment."""

    async def aclose(self) -> None: ...


class System(Protocol):
    """An adapter's module."""

    Client: type[Client]

    @staticmethod
    async def work(
        url: str, concurrency: int, limit: int | None, ready: Callable[[], None], stop: asyncio.Event
    ) -> None:
        """Serve until stopped, or until `limit` jobs have ended; `ready` is called when jobs would be taken."""


def load(name: str) -> Any:
    """The adapter of a system."""
    return importlib.import_module(f"benchmarks.systems.{name}")
