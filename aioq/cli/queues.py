"""`aioq empty`, `suspend` and `resume`: whole queues."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Annotated

import typer

from aioq.cli import output
from aioq.cli.common import JsonOption, UrlOption, connected, read_seconds, refuse_names_with_all, tell_of_missing
from aioq.client.queue import Queue
from aioq.store import Connection, Fleet

Names = Annotated[list[str] | None, typer.Argument(metavar="QUEUES", help="The queues.")]
Only = Annotated[
    list[str] | None,
    typer.Option("--queue", metavar="QUEUE", help="Only this queue; may be given more than once."),
]
Limit = Annotated[
    str | None, typer.Option("--duration", metavar="DURATION", help="End it by itself after this long.")
]


def empty(
    queues: Names = None,
    *,
    every: Annotated[bool, typer.Option("--all", "-a", help="All queues of the server.")] = False,
    url: UrlOption = None,
    as_json: JsonOption = False,
) -> None:
    """Delete the jobs that wait in queues. Jobs in other states stay."""
    if every:
        refuse_names_with_all(queues or [])

    names = None if every else list(dict.fromkeys(queues or []))
    removed, missing = asyncio.run(_empty(url, names, as_json=as_json))

    if as_json:
        output.say_json({"removed": removed})
    elif not removed:
        output.say("Nothing to do")

    if missing:
        raise typer.Exit(1)


async def _empty(
    url: str | None, names: Sequence[str] | None, *, as_json: bool
) -> tuple[dict[str, int], list[str]]:
    removed = {}

    async with connected(url) as connection:
        missing = await tell_of_missing(connection, names or [])

        for queue in await _queues(connection, names, missing):
            removed[queue.name] = await queue.empty()

            if not as_json:
                output.say(f"{output.count(removed[queue.name], 'job')} removed from {queue.name} queue")

    return removed, missing


async def _queues(connection: Connection, names: Sequence[str] | None, missing: Sequence[str] = ()) -> list[Queue]:
    if names is None:
        return await Queue.all(connection)

    return [Queue(name, connection) for name in names if name not in missing]


def suspend(queues: Only = None, *, duration: Limit = None, url: UrlOption = None) -> None:
    """Let workers start no more jobs, of all queues or of some. Jobs that run go on."""
    missing = asyncio.run(_suspend(url, queues or [], read_seconds(duration, "--duration", 1)))
    limit = "" if duration is None else f" for {_spelled(duration)}"

    for name in queues or []:
        if name not in missing:
            output.say(f"Queue {name} is paused{limit}.")

    if not queues:
        output.say(f"All workers are suspended{limit}.")

    if missing:
        raise typer.Exit(1)


def _spelled(duration: str) -> str:
    """As it was given; a bare number with its unit."""
    return output.count(int(duration), "second") if duration.isdecimal() else duration


async def _suspend(url: str | None, names: list[str], seconds: float | None) -> list[str]:
    async with connected(url) as connection:
        missing = await tell_of_missing(connection, names)

        for queue in await _queues(connection, names, missing):
            await queue.pause(seconds)

        if not names:
            await Fleet(connection).suspend(None if seconds is None else round(seconds * 1000))

    return missing


def resume(queues: Only = None, *, url: UrlOption = None) -> None:
    """Let workers start jobs again, of all queues or of some. It says what else still holds them back."""
    if asyncio.run(_resume(url, queues or [])):
        raise typer.Exit(1)


async def _resume(url: str | None, names: list[str]) -> list[str]:
    async with connected(url) as connection:
        fleet = Fleet(connection)
        missing = await tell_of_missing(connection, names)

        for queue in await _queues(connection, names, missing):
            await queue.resume()
            output.say(f"Queue {queue.name} is resumed.")

        if not names:
            await fleet.resume()
            output.say("All workers are resumed.")
        elif await fleet.is_suspended():
            output.say("All workers are still suspended.")

            return missing

        for queue in await _queues(connection, names or None, missing):
            if await queue.is_paused():
                output.say(f"Queue {queue.name} is still paused.")

    return missing
