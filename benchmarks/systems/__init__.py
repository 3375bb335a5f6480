"""Adapters: what a benchmark asks of a queue, in one form for all. One file each, imported when it is used."""

from __future__ import annotations

import asyncio
import importlib
import threading
from collections.abc import Callable, Coroutine, Sequence
from contextlib import suppress
from datetime import datetime
from typing import Any, NamedTuple, Protocol

from benchmarks.peers import with_defaults

Job = Callable[..., Any]


class Seen(NamedTuple):
    """A job as it is stored: its first argument, or its result once it has ended."""

    ended: bool
    value: Any


class Client(Protocol):
    """The producer's side. A handle is whatever the system returns for a job."""

    def __init__(self, url: str) -> None: ...

    async def open(self) -> None:
        """Called once, before all else, if it is there."""

    async def enqueue(self, job: Job, *args: Any) -> Any:
        """One job, awaited."""

    async def enqueue_many(self, job: Job, calls: Sequence[tuple[Any, ...]]) -> list[Any]:
        """The system's way for many jobs."""

    async def fan_out(self, job: Job, calls: Sequence[tuple[Any, ...]]) -> list[Any]:
        """As `enqueue_many`; all but the first wait for the first. This and the next four are where they exist."""

    async def fan_in(self, job: Job, calls: Sequence[tuple[Any, ...]]) -> list[Any]:
        """The last waits for all others."""

    async def chain(self, job: Job, calls: Sequence[tuple[Any, ...]]) -> list[Any]:
        """Each waits for the one before."""

    async def group(self, job: Job, calls: Sequence[tuple[Any, ...]]) -> list[Any]:
        """None waits; they are one group."""

    async def ended(self) -> None:
        """Wait for the end of that group."""

    async def deferred(self) -> int:
        """How many jobs wait for others."""

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
        url: str, concurrency: int | None, limit: int | None, ready: Callable[[], None], stop: asyncio.Event
    ) -> None:
        """Serve until stopped, or until `limit` jobs have ended; `ready` is called when jobs would be taken.

        Without a concurrency it is the system's own. Peers need no limit.
        """


def load(system: str) -> Any:
    """The adapter of a system. What an adapter has in TUNED is left out when its defaults are wanted."""
    module = importlib.import_module(f"benchmarks.systems.{system.partition(':')[0]}")

    if with_defaults(system):
        module.TUNED.clear()

    return module


async def connect(system: str, url: str) -> Any:
    """A client that is ready."""
    client = load(system).Client(url)

    if opening := getattr(client, "open", None):
        await opening()

    return client


async def serve(serving: Coroutine[Any, Any, Any], stop: asyncio.Event) -> None:
    """Let a peer's worker serve until it is told to stop."""
    worker, stopping = asyncio.create_task(serving), asyncio.create_task(stop.wait())
    await asyncio.wait([worker, stopping], return_when=asyncio.FIRST_COMPLETED)
    worker.cancel()

    with suppress(asyncio.CancelledError):
        await worker


async def serve_on_thread(serving: Callable[[], Any], stop: asyncio.Event) -> None:
    """The same for a worker that blocks. Its thread ends with the process."""
    threading.Thread(target=serving, daemon=True).start()
    await stop.wait()


async def gather_many(client: Client, job: Job, calls: Sequence[tuple[Any, ...]]) -> list[Any]:
    """Many jobs for a system without a call for that."""
    return await asyncio.gather(*(client.enqueue(job, *call) for call in calls))


def given(concurrency: int | None, name: str) -> dict[str, int]:
    """A worker's keyword for its concurrency; nothing if it is to be the system's own."""
    return {} if concurrency is None else {name: concurrency}
