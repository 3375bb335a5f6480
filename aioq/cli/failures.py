"""`aioq failures`: what the failed jobs have failed of."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Annotated, Any

import typer

from aioq.cli import output
from aioq.cli.actor import actor
from aioq.cli.checks import checked, positive
from aioq.cli.common import CommandError, JsonOption, QueueOption, Target, connected, tell_of_missing
from aioq.cli.output import age, moment
from aioq.client.queue import Queue
from aioq.store import Connection, Directory
from aioq.values.durations import positive_ms
from aioq.values.failure_group import FailureGroup, check_fingerprint

Fingerprint = Annotated[
    str,
    typer.Argument(metavar="FINGERPRINT", callback=checked(check_fingerprint), help="As the list shows it."),
]
Limit = Annotated[
    int | None,
    typer.Option("--limit", callback=checked(positive), metavar="N", help="The most rows of each queue."),
]
All = Annotated[bool, typer.Option("--all", "-a", help="Also what is muted.")]
For = Annotated[
    str | None,
    typer.Option(
        "--for", metavar="DURATION", callback=checked(positive_ms), help="For how long; without it, until unmuted."
    ),
]


def failures(
    context: typer.Context,
    *,
    queue: QueueOption = None,
    limit: Limit = None,
    every: All = False,
    target: Target,
    as_json: JsonOption = False,
) -> None:
    """List what jobs have failed of, or mute it."""
    if context.invoked_subcommand is not None:
        return

    found = asyncio.run(_list(queue, target, limit, None if every else False))

    if as_json:
        output.say_json([_facts(name, group) for name, group in found])
    else:
        columns = ["fingerprint", "queue", "count", "last seen", "function", "error"]
        output.say_table(output.Table(columns, [_row(name, group) for name, group in found]))


def mute(fingerprint: Fingerprint, *, duration: For = None, queue: QueueOption = None, target: Target) -> None:
    """Leave a failure out of the list. Its jobs are counted and kept as before."""

    async def mute_one(found: Queue) -> None:
        await found.mute_failure(fingerprint, duration, muted_by=actor())

    asyncio.run(_on_each(fingerprint, queue, target, mute_one, "muted"))


def unmute(fingerprint: Fingerprint, *, queue: QueueOption = None, target: Target) -> None:
    """Show a muted failure in the list again."""

    async def unmute_one(found: Queue) -> None:
        await found.unmute_failure(fingerprint)

    asyncio.run(_on_each(fingerprint, queue, target, unmute_one, "unmuted"))


async def _list(
    name: str | None, target: Target, limit: int | None, muted: bool | None
) -> list[tuple[str, FailureGroup]]:
    async with connected(target) as connection:
        return [
            (queue.name, group)
            for queue in await _queues(connection, name)
            for group in await queue.failures(limit, muted=muted)
        ]


async def _on_each(
    fingerprint: str, name: str | None, target: Target, change: Callable[[Queue], Awaitable[None]], word: str
) -> None:
    async with connected(target) as connection:
        having = [
            queue
            for queue in await _queues(connection, name)
            if await queue.store.failures.one(fingerprint) is not None
        ]

        if not having:
            raise CommandError(f"no failed job has the fingerprint {fingerprint}")

        for queue in having:
            await change(queue)
            output.say(f"{fingerprint}: {word} in queue {queue.name}")


async def _queues(connection: Connection, name: str | None) -> list[Queue]:
    if name is None:
        return [Queue(each, connection) for each in await Directory(connection).queues()]

    if await tell_of_missing(connection, [name]):
        raise typer.Exit(1)

    return [Queue(name, connection)]


def _row(name: str, group: FailureGroup) -> list[Any]:
    error = ": ".join(filter(None, (group.error_type, group.error_message)))

    return [
        group.fingerprint + (" (muted)" if group.is_muted else ""),
        name,
        group.count,
        age(group.last_seen),
        group.function,
        error,
    ]


def _facts(name: str, group: FailureGroup) -> dict[str, Any]:
    return {
        "fingerprint": group.fingerprint,
        "queue": name,
        "count": group.count,
        "function": group.function,
        "error_type": group.error_type,
        "error_message": group.error_message,
        "first_seen": moment(group.first_seen),
        "last_seen": moment(group.last_seen),
        "last_job": group.last_job_id,
        "worker": group.worker,
        "muted": group.is_muted,
        "muted_until": moment(group.muted_until),
        "muted_by": group.muted_by,
    }
