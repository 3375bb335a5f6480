"""`aioq info`: the state of queues and workers. It only reads."""

from __future__ import annotations

import asyncio
import sys
from collections import ChainMap
from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import typer

from aioq.cli import output
from aioq.cli.checks import read_seconds
from aioq.cli.common import MOST_NAMED, JsonOption, Target, away_lines, connected, tell_of_away, tell_of_missing
from aioq.cli.complete import queue_names
from aioq.cli.departed import departed_of, departed_rows, departed_table
from aioq.cli.retry_budget import held_seconds, shown_budget, told_budget
from aioq.store import Connection, Directory
from aioq.store.directory import QueueInfo
from aioq.store.worker_info import WorkerInfo
from aioq.values.departed import DepartedWorker
from aioq.values.errors import ServerError
from aioq.values.pause import Pause
from aioq.values.sizes import shown_size
from aioq.values.states import JobStatus

if TYPE_CHECKING:
    from rich.console import RenderableType


#: The states with a column of their own on a terminal.
MAIN_STATES = (JobStatus.QUEUED, JobStatus.STARTED, JobStatus.FINISHED, JobStatus.FAILED)

#: A lag of an event loop has a column of its own if some worker has had at least this one, in ms.
LAG_SHOWN_MS = 100


class Snapshot(NamedTuple):
    """The state of a server at one moment.

    server: its URL, without a password. suspended: None if that is not known now. schemas: the types of tasks, if
    they were asked for. departed: the workers that have left each queue, if they were asked for.
    """

    server: str
    suspended: bool | None
    queues: list[QueueInfo]
    workers: list[WorkerInfo]
    away: dict[str, ServerError]
    schemas: Mapping[str, Any] = MappingProxyType({})
    departed: Mapping[str, Sequence[DepartedWorker]] = MappingProxyType({})


class View(NamedTuple):
    """What the options select."""

    queues: bool
    workers: bool
    by_queue: bool
    raw: bool
    departed: bool


Names = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="QUEUES", autocompletion=queue_names, help="Only these queues, and workers that serve them."
    ),
]
Raw = Annotated[bool, typer.Option("--raw", "-r", help="Bare lines: queue NAME QUEUED, worker NAME STATE QUEUES.")]
OnlyQueues = Annotated[bool, typer.Option("--only-queues", "-Q", help="Show queues only.")]
OnlyWorkers = Annotated[bool, typer.Option("--only-workers", "-W", help="Show workers only.")]
ByQueue = Annotated[bool, typer.Option("--by-queue", "-R", help="Show for each queue the workers that serve it.")]
Departed = Annotated[
    bool, typer.Option("--departed", help="Show also the workers that have left: when, why, and what they held.")
]
Interval = Annotated[
    str | None,
    typer.Option("--interval", "-i", metavar="DURATION", help="Repeat after this pause: 5, 500ms, 1m."),
]


def info(
    queues: Names = None,
    *,
    raw: Raw = False,
    only_queues: OnlyQueues = False,
    only_workers: OnlyWorkers = False,
    by_queue: ByQueue = False,
    departed: Departed = False,
    interval: Interval = None,
    target: Target,
    as_json: JsonOption = False,
) -> None:
    """Show queues, the number of jobs in each state, and workers."""
    if only_queues and only_workers:
        raise typer.BadParameter("it cannot be combined with --only-queues", param_hint="'--only-workers'")

    if as_json and interval is not None:
        raise typer.BadParameter("it cannot be combined with --json", param_hint="'--interval'")

    view = View(not only_workers, not only_queues, by_queue, raw, departed)

    seconds = read_seconds(interval, "--interval", 0.1)

    if seconds is None:
        snapshot = asyncio.run(_look_once(target, queues, view, schemas=as_json and view.workers))
        output.say_json(_document(snapshot, view)) if as_json else _print(snapshot, view)

        if snapshot.away:
            raise typer.Exit(1)

        return

    try:
        asyncio.run(_watch(target, queues, view, seconds))
    except KeyboardInterrupt:  # the way to leave it
        return


async def _look_once(target: Target, names: Sequence[str] | None, view: View, *, schemas: bool) -> Snapshot:
    async with connected(target) as connection:
        await tell_of_missing(connection, names or [])
        snapshot = await _snapshot(connection, names, view)

        if not schemas:
            return snapshot

        directory = Directory(connection, away=snapshot.away)
        found = [await directory.schemas(name) for name in names] if names else [await directory.schemas()]

        return snapshot._replace(schemas=dict(ChainMap(*found)))


async def _watch(target: Target, names: Sequence[str] | None, view: View, interval: float) -> None:
    async with connected(target) as connection:
        await tell_of_missing(connection, names or [])

        if not sys.stdout.isatty():
            while True:
                _print(await _snapshot(connection, names, view), view)
                await asyncio.sleep(interval)

        from rich.live import Live  # noqa: PLC0415 - rich takes longer to import than most commands to run

        with Live(auto_refresh=False) as live:
            while True:
                live.update(_screen(await _snapshot(connection, names, view), view), refresh=True)
                await asyncio.sleep(interval)


async def _snapshot(connection: Connection, names: Sequence[str] | None, view: View) -> Snapshot:
    away: dict[str, ServerError] = {}
    directory = Directory(connection, away=away)
    shown = list(dict.fromkeys(names)) if names else await directory.queues()
    suspended, workers, queues = await asyncio.gather(
        directory.is_suspended(), directory.workers(), directory.overview(shown)
    )
    serving = [worker for worker in workers if not names or set(names) & set(worker.queues)]

    departed = await departed_of(connection, shown, away) if view.departed else {}

    return Snapshot(connection.url, suspended, queues, serving, away, departed=departed)


def _document(snapshot: Snapshot, view: View) -> dict[str, Any]:
    document: dict[str, Any] = {"server": snapshot.server, "suspended": snapshot.suspended}

    if view.queues:
        document["queues"] = [
            {"name": queue.name, "paused": queue.paused, "pauses": [_shown_pause(each) for each in queue.pauses]}
            | dict(queue.counts.jobs)
            | {"callbacks": queue.counts.callbacks, "workers": queue.counts.workers}
            | {"late_workers": queue.late_workers}
            | {"retry_budget": shown_budget(queue.retry_budget)}
            for queue in snapshot.queues
        ]

    if view.workers:
        document["workers"] = [worker._asdict() for worker in snapshot.workers]
        document["schemas"] = dict(snapshot.schemas)

    if view.departed:
        document["departed"] = departed_rows(snapshot.departed)

    if snapshot.away:
        document["away"] = {what: str(error) for what, error in snapshot.away.items()}

    return document


def _shown_pause(pause: Pause) -> dict[str, Any]:
    """A pause for JSON; how long it still lasts in seconds."""
    left = None if pause.left_ms is None else pause.left_ms / 1000

    return {"everywhere": pause.everywhere, "reason": pause.reason, "by": pause.by, "left": left}


def _print(snapshot: Snapshot, view: View) -> None:
    for part in _parts(snapshot, view):
        if isinstance(part, str):
            output.say(output.one_line(part))  # a worker's name is text that is stored
        else:
            output.say_table(part)

    tell_of_away(snapshot.away)


def _screen(snapshot: Snapshot, view: View) -> RenderableType:
    from rich.console import Group  # noqa: PLC0415 - as in _watch
    from rich.text import Text  # noqa: PLC0415 - as in _watch

    parts = [*_parts(snapshot, view), *away_lines(snapshot.away)]

    return Group(
        *(Text(output.clean(part)) if isinstance(part, str) else output.rich_table(part) for part in parts)
    )


def _parts(snapshot: Snapshot, view: View) -> Iterable[str | output.Table]:
    """The lines and tables to show, from top to bottom."""
    if view.raw:
        yield from _raw(snapshot, view)

        return

    if snapshot.suspended:
        yield f"All workers are suspended{_suspension(snapshot)}."

    if view.queues:
        table = _short_queue_table if sys.stdout.isatty() else _queue_table
        yield table(snapshot.queues) if snapshot.queues else "No queues."
        yield from _pauses(snapshot.queues)

    remarks = list(_remarks(snapshot.queues))
    yield from remarks

    if view.workers and view.by_queue:
        yield from [""] * view.queues
        yield from _by_queue(snapshot)
    elif view.workers and (snapshot.workers or not remarks):  # unserved queues are named already
        yield from [""] * view.queues
        yield _worker_table(snapshot.workers) if snapshot.workers else "No workers."

    if view.departed:
        yield ""
        yield departed_table(snapshot.departed) if any(snapshot.departed.values()) else "No workers have left."

    if view.queues and view.workers:
        yield ""
        yield f"Server: {snapshot.server}"


def _suspension(snapshot: Snapshot) -> str:
    """By whom, why and for how long, as the queues tell it."""
    return next((each.told() for queue in snapshot.queues for each in queue.pauses if each.everywhere), "")


def _pauses(queues: Sequence[QueueInfo]) -> Iterable[str]:
    """What is known of the pauses of single queues. That there are some stands in the table."""
    for queue in queues:
        for pause in queue.pauses:
            if not pause.everywhere and (told := pause.told()):
                yield f"Queue {queue.name} is paused{told}."


def _remarks(queues: Sequence[QueueInfo]) -> Iterable[str]:
    for queue in queues:
        for name in queue.late_workers:
            yield f"Worker {name} holds jobs of queue {queue.name}, but its lease has ended."

        if queue.retry_budget is not None and held_seconds(queue.retry_budget):
            yield f"Retries of queue {queue.name} are held back: {told_budget(queue.retry_budget)}."

    unserved = [each for each in queues if each.counts.queued and not each.counts.workers]

    for queue in unserved[:MOST_NAMED]:
        waiting = queue.counts.queued
        yield f"No worker serves queue {queue.name}: {'1 job waits' if waiting == 1 else f'{waiting} jobs wait'}."

    if more := unserved[MOST_NAMED:]:
        yield f"No worker serves {output.count(len(more), 'other queue')} in which jobs wait."


def _raw(snapshot: Snapshot, view: View) -> Iterable[str]:
    if view.queues:
        for queue in snapshot.queues:
            yield f"queue {queue.name} {queue.counts.queued}"

    if view.workers:
        for worker in snapshot.workers:
            yield f"worker {worker.name} {worker.state} {','.join(worker.queues)}"


def _by_queue(snapshot: Snapshot) -> Iterable[str]:
    for queue in snapshot.queues:
        serving = [f"{each.name} ({each.state})" for each in snapshot.workers if queue.name in each.queues]
        yield f"{queue.name}: {', '.join(serving) or '-'}"


def _queue_table(queues: Sequence[QueueInfo]) -> output.Table:
    rows: list[list[str | int | None]] = [
        [each.name, *(each.counts[state] for state in JobStatus), _yes(each.paused)] for each in queues
    ]

    return output.Table(["queue", *JobStatus, "paused"], rows)


def _short_queue_table(queues: Sequence[QueueInfo]) -> output.Table:
    """As `_queue_table`, for a terminal of 80 columns: states that are often empty are named only when needed."""
    rows: list[list[str | int | None]] = [
        [each.name, *(each.counts[state] for state in MAIN_STATES), ", ".join(_others(each))] for each in queues
    ]

    return output.Table(["queue", *MAIN_STATES, "other"], rows, wraps=["queue", "other"])


def _others(queue: QueueInfo) -> Iterable[str]:
    if queue.paused:
        yield "paused"

    for state in JobStatus:
        if state not in MAIN_STATES and (number := queue.counts[state]):
            yield f"{number} {state}"

    if queue.counts.callbacks:
        yield output.count(queue.counts.callbacks, "callback")


def _worker_table(workers: Sequence[WorkerInfo]) -> output.Table:
    heads = ["worker", "host", "pid", "state", "queues", "running", "ok", "failed", "memory"]
    rows: list[list[str | int | None]] = [
        [
            each.name,
            each.hostname,
            each.pid,
            each.state,
            (", " if sys.stdout.isatty() else ",").join(each.queues),
            f"{each.running}/{each.concurrency}",
            each.successful,
            each.failed,
            shown_size(each.memory) if each.memory else "?",
        ]
        for each in workers
    ]

    if any(each.lag_ms >= LAG_SHOWN_MS for each in workers):  # rare, and the column needs room
        heads.append("lag ms")
        rows = [[*row, each.lag_ms] for row, each in zip(rows, workers, strict=True)]

    if any(each.blocks for each in workers):  # as above
        heads.append("blocks")
        rows = [[*row, each.blocks] for row, each in zip(rows, workers, strict=True)]

    return output.Table(heads, rows, wraps=["worker", "host", "queues"])


def _yes(value: bool) -> str:
    return "yes" if value else "no"
