"""`aioq top`: the runs in progress, the longest first. It only reads, and loads nothing of the jobs."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Sequence
from typing import Annotated, Any, NamedTuple

import typer

from aioq.cli import output
from aioq.cli.checks import checked, positive, read_seconds
from aioq.cli.common import JsonOption, Target, away_lines, connected, tell_of_away, tell_of_missing
from aioq.cli.complete import queue_names
from aioq.store import Connection, Directory, Store
from aioq.store.sight import wait_ms
from aioq.values.calltext import CUT, call_text
from aioq.values.errors import ServerError, ServerUnreachable
from aioq.values.record import JobRecord
from aioq.values.states import JobStatus
from aioq.values.summary import printable
from aioq.web.words import duration

#: Jobs that one call brings.
GLANCED = 100

Names = Annotated[
    list[str] | None,
    typer.Argument(metavar="QUEUES", autocompletion=queue_names, help="Only the runs of these queues."),
]
Limit = Annotated[
    int, typer.Option("--limit", callback=checked(positive), metavar="N", help="The most runs to show.")
]
Interval = Annotated[
    str | None,
    typer.Option("--interval", "-i", metavar="DURATION", help="Repeat after this pause: 5, 500ms, 1m."),
]


class Runs(NamedTuple):
    """The runs in progress at one moment.

    shown: each with its queue, the longest first. total: how many there are. now_ms: the server's clock. away:
    what could not be reached.
    """

    shown: list[tuple[str, JobRecord]]
    total: int
    now_ms: int
    away: dict[str, ServerError]


class Part(NamedTuple):
    """The longest runs of one queue, how many it has, and the server's clock."""

    records: list[JobRecord]
    total: int
    now_ms: int


def top(
    queues: Names = None,
    *,
    limit: Limit = 50,
    interval: Interval = None,
    target: Target,
    as_json: JsonOption = False,
) -> None:
    """Show the runs in progress, the longest first.

    For each it says how long it had waited, too.
    """
    if as_json and interval is not None:
        raise typer.BadParameter("it cannot be combined with --json", param_hint="'--interval'")

    seconds = read_seconds(interval, "--interval", 0.1)

    try:
        runs, missing = asyncio.run(_top(target, queues or [], limit, seconds, as_json=as_json))
    except KeyboardInterrupt:
        if seconds is None:
            raise

        return  # the way to leave it

    if missing or runs.away:
        raise typer.Exit(1)


async def _top(
    target: Target, names: Sequence[str], limit: int, seconds: float | None, *, as_json: bool
) -> tuple[Runs, list[str]]:
    async with connected(target) as connection:
        missing = await tell_of_missing(connection, names)
        wanted = [name for name in dict.fromkeys(names) if name not in missing] if names else None

        if seconds is not None:
            await _watch(connection, wanted, limit, seconds)

        runs = await _look(connection, wanted, limit)

    output.say_json(_document(runs)) if as_json else _print(runs)

    return runs, missing


async def _watch(connection: Connection, names: list[str] | None, limit: int, seconds: float) -> None:
    """Look again and again, until Ctrl-C."""
    if not sys.stdout.isatty():
        while True:
            _print(await _look(connection, names, limit))
            await asyncio.sleep(seconds)

    from rich.console import Group  # noqa: PLC0415 - rich takes longer to import than most commands to run
    from rich.live import Live  # noqa: PLC0415 - as above
    from rich.text import Text  # noqa: PLC0415 - as above

    with Live(auto_refresh=False) as live:
        while True:
            runs = await _look(connection, names, limit)
            lines = [Text(output.one_line(each)) for each in (_head(runs), *away_lines(runs.away))]
            live.update(Group(output.rich_table(_table(runs)), *lines), refresh=True)
            await asyncio.sleep(seconds)


async def _look(connection: Connection, names: list[str] | None, limit: int) -> Runs:
    away: dict[str, ServerError] = {}
    wanted = await Directory(connection, away=away).queues() if names is None else names
    found = await asyncio.gather(*(_of_queue(Store(connection, name), limit, away) for name in wanted))
    runs = [(name, record) for name, part in zip(wanted, found, strict=True) for record in part.records]

    return Runs(
        sorted(runs, key=lambda run: run[1].started_ms)[:limit],
        sum(part.total for part in found),
        max((part.now_ms for part in found), default=0),
        away,
    )


async def _of_queue(store: Store, limit: int, away: dict[str, ServerError]) -> Part:
    """The longest runs of a queue. The ids of all its runs are gone through, in steps."""
    try:
        (ids, now_ms), counts = await asyncio.gather(
            store.reads.ids(JobStatus.STARTED, 0, limit), store.reads.count()
        )
        chunks = [ids[start : start + GLANCED] for start in range(0, len(ids), GLANCED)]
        found = [record for chunk in chunks for record in await store.lists.glance(chunk)]
    except ServerUnreachable as error:
        if not store.connection.is_cluster:
            raise

        away[f"queue {store.queue}"] = error

        return Part([], 0, 0)

    records = [each for each in found if each is not None and each.started_ms]

    return Part(records, max(counts[JobStatus.STARTED], len(records)), now_ms)


def _print(runs: Runs) -> None:
    if runs.shown:
        output.say_table(_table(runs))

    if sys.stdout.isatty() or not runs.shown:
        output.say(_head(runs))

    tell_of_away(runs.away)


def _head(runs: Runs) -> str:
    if not runs.shown:
        return "No job runs."

    return f"{len(runs.shown)} of {output.count(runs.total, 'run')}"


def _table(runs: Runs) -> output.Table:
    columns = ["for", "waited", "queue", "worker", "function", "job"]
    rows: list[list[str | int | None]] = [
        [
            duration(runs.now_ms - record.started_ms),
            _told(wait_ms(record)),
            queue,
            record.worker or "-",
            printable(record.func_name),
            record.id,
        ]
        for queue, record in runs.shown
    ]

    return output.Table(columns, rows, wraps=["queue", "worker", "function", "job"])


def _told(ms: int | None) -> str:
    return "-" if ms is None else duration(ms)


def _document(runs: Runs) -> dict[str, Any]:
    waits = [wait_ms(record) for _, record in runs.shown]
    document: dict[str, Any] = {
        "runs": [
            {
                "id": record.id,
                "queue": queue,
                "worker": record.worker,
                "function": record.func_name,
                "call": f"{record.func_name}({CUT})" if b"cut" in record.fields else call_text(record),
                "attempt": record.attempt,
                "started_at": output.moment(record.started_at),
                "seconds": max(0, runs.now_ms - record.started_ms) / 1000,
                "waited": None if wait is None else wait / 1000,
            }
            for (queue, record), wait in zip(runs.shown, waits, strict=True)
        ],
        "total": runs.total,
    }

    return document | ({"away": {what: str(error) for what, error in runs.away.items()}} if runs.away else {})
