"""`aioq group`: which groups of jobs a queue keeps, and how far they are."""

from __future__ import annotations

import asyncio
from dataclasses import asdict
from typing import Annotated, Any

import typer

from aioq.cli import output
from aioq.cli.common import (
    CommandError,
    JsonOption,
    QueueOption,
    Target,
    connected,
    listed,
    opened,
    tell_of_missing,
)
from aioq.cli.jobs import Names
from aioq.cli.output import moment
from aioq.store import Connection, Directory, Store
from aioq.store.groups import StoredGroup
from aioq.values.ids import lookup_id

Name = Annotated[str, typer.Argument(metavar="NAME", callback=lookup_id, help="The group.")]


def ls(queues: Names = None, *, target: Target, as_json: JsonOption = False) -> None:
    """List the groups of queues, those first that are kept for the shortest time."""
    found = [row for name in dict.fromkeys(queues or ["default"]) for row in asyncio.run(_list(name, target))]

    if as_json:
        output.say_json(found)
    else:
        columns = ["group", "queue", "members", "ended", "unfinished", "ended_at"]
        output.say_table(output.Table(columns, [[row[name] for name in columns] for row in found]))


def show(name: Name, *, queue: QueueOption = None, target: Target, as_json: JsonOption = False) -> None:
    """Show how far a group is."""
    found = asyncio.run(_show(name, queue, target))

    if as_json:
        output.say_json(found)
    else:
        output.say_marked(
            "\n".join(f"{field + ':':<12}{value}" for field, value in found.items() if value is not None)
        )


async def _list(name: str, target: Target) -> list[dict[str, Any]]:
    async with opened(name, target) as queue:
        await tell_of_missing(queue.connection, [name])
        groups = queue.store.groups

        return [
            _facts(each, name, stored)
            for each in await groups.names()
            if (stored := await groups.load(each)) is not None
        ]


async def _show(name: str, queue: str | None, target: Target) -> dict[str, Any]:
    async with connected(target) as connection:
        names = [queue] if queue is not None else await Directory(connection).queues()

        for each in names:
            if (stored := await Store(connection, each).groups.load(name)) is not None:
                return _facts(name, each, stored)

        raise await _nowhere(connection, name, queue)


async def _nowhere(connection: Connection, name: str, queue: str | None) -> CommandError:
    if queue is not None:
        return CommandError(f"queue {queue} has no group {name}")

    return CommandError(f"no queue has a group {name}{listed(await Directory(connection).queues())}")


def _facts(name: str, queue: str, stored: StoredGroup) -> dict[str, Any]:
    progress = stored.progress
    counts = asdict(progress)
    del counts["has_ended"], counts["total"]

    return {
        "group": name,
        "queue": queue,
        "members": progress.total,
        "ended": progress.ended,
        "unfinished": progress.unfinished,
        **counts,
        "created_at": moment(stored.moment(b"created_at")),
        "ended_at": moment(stored.moment(b"ended_at")),
    }
