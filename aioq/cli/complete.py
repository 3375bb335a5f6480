"""Names of queues and ids of jobs for the shell's completion: quick, and silent about errors."""

from __future__ import annotations

import asyncio
import io
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import redirect_stderr

import typer

from aioq.client.queue import Queue
from aioq.store import Connection, Directory
from aioq.store.net.absent import HERE
from aioq.store.net.url import default_url
from aioq.values.states import JobStatus

#: How long a completion may take, in seconds.
LIMIT_S = 1.0

#: In how many queues ids are searched, and how many jobs of each state.
QUEUES, JOBS = 10, 100


def queue_names(context: typer.Context, incomplete: str) -> list[str]:
    """The names of queues that begin with this text."""
    return [name for name in _ask(context, _names) if name.startswith(incomplete)]


def job_ids(context: typer.Context, incomplete: str) -> list[str]:
    """The ids of jobs that begin with this text: of the queue on the command line, or of a few queues."""
    name: str | None = context.params.get("queue")

    return [
        job_id
        for job_id in _ask(context, lambda connection: _ids(connection, name))
        if job_id.startswith(incomplete)
    ]


def _ask(context: typer.Context, look: Callable[[Connection], Awaitable[list[str]]]) -> list[str]:
    """Ask the server that the command line names; the answer is empty if this fails or takes too long."""
    with redirect_stderr(io.StringIO()):
        try:
            return asyncio.run(_ask_server(context.params.get("url"), context.params.get("prefix"), look))
        except Exception:  # noqa: BLE001 - the shell would show a traceback in the middle of the command line
            return []


async def _ask_server(
    url: str | None, prefix: str | None, look: Callable[[Connection], Awaitable[list[str]]]
) -> list[str]:
    if _would_start(url or default_url()):
        return []

    connection = Connection(url, prefix=prefix, call_timeout=LIMIT_S, patient=False)

    try:
        async with asyncio.timeout(LIMIT_S):
            return await look(connection)
    finally:
        await connection.aclose()


def _would_start(url: str) -> bool:
    """Whether the completion would start a server."""
    if not url.startswith(HERE):
        return False

    from aioq.embedded import is_running  # noqa: PLC0415 - an edge of its own, needed only now

    return not is_running(url)


async def _names(connection: Connection) -> list[str]:
    return await Directory(connection, away={}).queues()


async def _ids(connection: Connection, name: str | None) -> list[str]:
    names = [name] if name else (await _names(connection))[:QUEUES]

    return [job_id for each in names async for job_id in _ids_of(Queue(each, connection))]


async def _ids_of(queue: Queue) -> AsyncIterator[str]:
    for state in JobStatus:
        for job_id in (await queue.store.reads.ids(state, 0, JOBS))[0]:
            yield job_id
