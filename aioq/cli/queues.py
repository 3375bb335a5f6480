"""`aioq empty`, `suspend` and `resume`: whole queues."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Annotated

import typer

from aioq.cli import output
from aioq.cli.actor import actor
from aioq.cli.checks import read_seconds, refuse_names_with_all
from aioq.cli.common import JsonOption, Target, connected, on_each, tell_of_away, tell_of_missing
from aioq.cli.complete import queue_names
from aioq.client.queue import Queue
from aioq.store import Connection, Directory
from aioq.store.acting import act_of
from aioq.values.durations import in_two_units
from aioq.values.errors import ServerError
from aioq.values.pause import MAX_BY, pack_pause

#: What could not be reached, and why.
Away = dict[str, ServerError]

Names = Annotated[
    list[str] | None, typer.Argument(metavar="QUEUES", autocompletion=queue_names, help="The queues.")
]
Only = Annotated[
    list[str] | None,
    typer.Option(
        "--queue",
        metavar="QUEUE",
        autocompletion=queue_names,
        help="Only this queue; may be given more than once.",
    ),
]
Limit = Annotated[
    str | None,
    typer.Option("--duration", metavar="DURATION", help="Resume by itself after this time: 90s, 5m, 1h30m."),
]

Why = Annotated[
    str | None,
    typer.Option("--reason", metavar="TEXT", help="Why; `info` and `explain` tell it."),
]
By = Annotated[
    str | None, typer.Option("--by", metavar="NAME", help="Who does it. Without it: the user and this machine.")
]


def empty(
    queues: Names = None,
    *,
    every: Annotated[bool, typer.Option("--all", "-a", help="All queues of the server.")] = False,
    target: Target,
    as_json: JsonOption = False,
) -> None:
    """Delete the waiting jobs of queues. Jobs in other states stay."""
    if every:
        refuse_names_with_all(queues or [])

    names = None if every else list(dict.fromkeys(queues or []))
    removed, missing, away = asyncio.run(_empty(target, names, as_json=as_json))

    if as_json:
        told = {"away": {what: str(error) for what, error in away.items()}} if away else {}
        output.say_json({"removed": removed} | told)
    elif not removed:
        output.say("Nothing to do")

    _end(missing, {} if as_json else away)

    if away:
        raise typer.Exit(1)


async def _empty(
    target: Target, names: Sequence[str] | None, *, as_json: bool
) -> tuple[dict[str, int], list[str], Away]:
    away: Away = {}

    async with connected(target) as connection:
        missing = await tell_of_missing(connection, names or [])
        wanted = await Directory(connection, away=away).queues() if names is None else names

        async def empty_one(queue: Queue) -> int:
            number = await queue.empty()

            if not as_json:
                output.say(f"{output.count(number, 'job')} removed from {queue.name} queue")

            return number

        removed = await on_each(_queues(connection, wanted, missing), empty_one, away)

    return removed, missing, away


def _queues(connection: Connection, names: Sequence[str], missing: Sequence[str]) -> list[Queue]:
    return [Queue(name, connection) for name in names if name not in missing]


def _end(missing: Sequence[str], away: Away) -> None:
    """Report what could not be reached; the exit code is 1 if anything was left undone."""
    tell_of_away(away)

    if missing or away:
        raise typer.Exit(1)


def suspend(
    queues: Only = None, *, duration: Limit = None, reason: Why = None, by: By = None, target: Target
) -> None:
    """Stop workers from starting jobs, of all queues or of some. Running jobs go on."""
    seconds = read_seconds(duration, "--duration", 1)
    told = {"reason": reason, "by": actor()[:MAX_BY] if by is None else by}
    pack_pause(**told)  # what cannot be used is refused before anything is asked
    done, missing, away = asyncio.run(_suspend(target, queues or [], seconds, told))
    limit = "" if duration is None else f" for {_spelled(duration)}"

    for name in done:
        output.say(f"Queue {name} is paused{limit}.")

    if not queues:
        output.say(f"All workers{' that were reached' if away else ''} are suspended{limit}.")

    _end(missing, away)


def _spelled(duration: str) -> str:
    """As it was given; a bare number with its unit."""
    return output.count(int(duration), "second") if duration.isdecimal() else duration


async def _suspend(
    target: Target, names: list[str], seconds: float | None, told: dict[str, str | None]
) -> tuple[list[str], list[str], Away]:
    away: Away = {}

    async with connected(target, starts=True) as connection:
        missing = await tell_of_missing(connection, names)
        done = await on_each(_queues(connection, names, missing), lambda queue: queue.pause(seconds, **told), away)

        if not names:
            ttl_ms = None if seconds is None else round(seconds * 1000)
            limit = "all workers" if seconds is None else f"all workers, for {in_two_units(seconds)}"
            act = act_of("suspend", limit, told["reason"] or "")
            await Directory(connection, away=away).suspend(ttl_ms, told=pack_pause(**told), act=act)

    return list(done), missing, away


def resume(queues: Only = None, *, target: Target) -> None:
    """Let workers start jobs again, of all queues or of some. It names whatever still stops them."""
    _end(*asyncio.run(_resume(target, queues or [])))


async def _resume(target: Target, names: list[str]) -> tuple[list[str], Away]:
    away: Away = {}

    async with connected(target) as connection:
        directory = Directory(connection, away=away)
        missing = await tell_of_missing(connection, names)

        for name in await on_each(_queues(connection, names, missing), Queue.resume, away):
            output.say(f"Queue {name} is resumed.")

        if not names:
            await directory.resume()
            output.say(f"All workers{' that were reached' if away else ''} are resumed.")
        elif await directory.is_suspended():
            output.say("All workers are still suspended.")

            return missing, away

        for name in await directory.paused(
            [name for name in names or await directory.queues() if name not in missing]
        ):
            output.say(f"Queue {name} is still paused.")

    return missing, away
