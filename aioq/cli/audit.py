"""`aioq audit`: who has done what to queues. It only reads."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any

import typer

from aioq.cli import output
from aioq.cli.checks import checked, positive
from aioq.cli.common import JsonOption, Target, connected, on_each, tell_of_away, tell_of_missing
from aioq.cli.complete import job_ids, queue_names
from aioq.client.queue import Queue
from aioq.store import Directory
from aioq.values.audit import AuditEntry
from aioq.values.errors import ServerError
from aioq.values.ids import lookup_id

#: So many names of jobs stand in a row of the table; `--json` has all that are kept.
SHOWN = 3


def _looked_up(job_id: str | None) -> str | None:
    return None if job_id is None else lookup_id(job_id)


Names = Annotated[
    list[str] | None,
    typer.Argument(metavar="QUEUES", autocompletion=queue_names, help="Only these queues."),
]
Limit = Annotated[int, typer.Option("--limit", metavar="N", callback=checked(positive), help="The most rows.")]

JobOption = Annotated[
    str | None,
    typer.Option("--job", metavar="ID", callback=_looked_up, autocompletion=job_ids, help="Only rows about it."),
]


def audit(
    queues: Names = None,
    *,
    job: JobOption = None,
    limit: Limit = 50,
    target: Target,
    as_json: JsonOption = False,
) -> None:
    """Show who has done what to queues and jobs."""
    found, missing, away = asyncio.run(_read(target, queues or [], limit, job))

    if as_json:
        output.say_json([_facts(name, entry) for name, entry in found])
    else:
        columns = ["when", "who", "from", "queue", "action", "what"]
        rows = [_row(name, entry) for name, entry in found]
        output.say_table(output.Table(columns, rows, wraps=["who", "queue", "what"]))

    tell_of_away(away)

    if missing or away:
        raise typer.Exit(1)


async def _read(
    target: Target, names: list[str], limit: int, job: str | None
) -> tuple[list[tuple[str, AuditEntry]], list[str], dict[str, ServerError]]:
    away: dict[str, ServerError] = {}

    async with connected(target) as connection:
        missing = await tell_of_missing(connection, names)
        wanted = names or await Directory(connection, away=away).queues()
        queues = [Queue(name, connection) for name in dict.fromkeys(wanted) if name not in missing]
        found = await on_each(queues, lambda queue: queue.audit(limit, job=job), away)

    rows = [(name, entry) for name, entries in found.items() for entry in entries]
    rows.sort(key=lambda row: row[1].at, reverse=True)

    return rows[:limit], missing, away


def _row(name: str, entry: AuditEntry) -> list[str | int | None]:
    return [output.age(entry.at), entry.by, entry.source, name, entry.action, told(entry)]


def told(entry: AuditEntry) -> str:
    """What an action concerned, and why it was done, in one line."""
    names, more = ", ".join(entry.subjects[:SHOWN]), entry.count - min(SHOWN, len(entry.subjects))
    what = f"{names} and {more:,} more" if more > 0 else names

    return "; ".join(filter(None, (what, entry.detail, entry.reason)))


def _facts(name: str, entry: AuditEntry) -> dict[str, Any]:
    return {
        "at": output.moment(entry.at),
        "by": entry.by,
        "source": entry.source,
        "queue": name,
        "action": entry.action,
        "subjects": list(entry.subjects),
        "count": entry.count,
        "detail": entry.detail,
        "reason": entry.reason,
    }
