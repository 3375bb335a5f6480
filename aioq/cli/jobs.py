"""`aioq job` and `aioq ls`: look at jobs and end them. Lists never load a job's arguments or code."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Annotated, Any

import typer

from aioq.cli import output
from aioq.cli.checks import checked, positive
from aioq.cli.common import (
    JsonOption,
    QueueOption,
    Target,
    connected,
    lookup_ids,
    make_importable,
    opened,
    tell_of_missing,
)
from aioq.cli.complete import job_ids, queue_names
from aioq.cli.describe import describe, describe_text, list_table, read_result, row, short_list_table
from aioq.cli.find import find, nowhere, refusal
from aioq.cli.report import Report
from aioq.client.job import Job
from aioq.client.queue import Queue
from aioq.client.registry import Registry
from aioq.client.related import requeue_with_dependents
from aioq.store import CALLBACKS
from aioq.values.ids import lookup_id
from aioq.values.numbers import whole
from aioq.values.result import earlier_result
from aioq.values.states import JobStatus

#: A verb of the store on one job: the verdict, and the status that refuses it.
Verb = Callable[[str], Awaitable[tuple[str, str]]]

Id = Annotated[str, typer.Argument(metavar="ID", callback=lookup_id, autocompletion=job_ids, help="The job.")]
Ids = Annotated[
    list[str], typer.Argument(metavar="IDS", callback=lookup_ids, autocompletion=job_ids, help="The jobs.")
]

Names = Annotated[
    list[str] | None,
    typer.Argument(metavar="QUEUES", autocompletion=queue_names, help="The queues. Without any: default."),
]
Of = Annotated[
    str | None, typer.Option("--queue", metavar="QUEUE", autocompletion=queue_names, help="As an argument.")
]
Status = Annotated[JobStatus | None, typer.Option("--status", metavar="STATE", help="Only jobs in this state.")]
Limit = Annotated[
    int, typer.Option("--limit", callback=checked(positive), metavar="N", help="The most jobs to show.")
]
Offset = Annotated[int, typer.Option("--offset", callback=checked(whole), metavar="N", help="Jobs to skip.")]
Dependents = Annotated[
    bool,
    typer.Option("--dependents", help="Before, cancel all jobs that wait for these, and so on."),
]
Callbacks = Annotated[
    bool, typer.Option("--callbacks", help="The callbacks that wait or run, in the place of the jobs.")
]
Desc = Annotated[bool, typer.Option("--desc", help="The last ones first.")]


def show(job_id: Id, *, queue: QueueOption = None, target: Target, as_json: JsonOption = False) -> None:
    """Show everything known about a job."""
    make_importable()
    found = asyncio.run(_show(queue, target, job_id))

    if as_json:
        output.say_json(found[0] if len(found) == 1 else found)
    else:
        on_terminal = sys.stdout.isatty()
        output.say_marked("\n\n".join(describe_text(facts, on_terminal=on_terminal) for facts in found))


async def _show(name: str | None, target: Target, job_id: str) -> list[dict[str, Any]]:
    async with connected(target) as connection:
        queues = (await find(connection, [job_id], name))[job_id]
        found = [facts for queue in queues if (facts := await _facts(queue, job_id)) is not None]

        if not found:
            raise await nowhere(connection, job_id, name)

    return found


async def _facts(queue: Queue, job_id: str) -> dict[str, Any] | None:
    job = await queue.fetch_job(job_id)

    if job is None:
        return None

    reads = queue.store.reads
    packed = await reads.attempts(job_id)
    runs = [earlier_result(job.record, each, read_result) for each in reversed(packed)]

    return describe(job, runs, *await reads.followers(job_id))


def cancel(
    ids: Ids,
    *,
    dependents: Dependents = False,
    queue: QueueOption = None,
    target: Target,
    as_json: JsonOption = False,
) -> None:
    """Cancel jobs that have not finished. A running job is ended."""
    report = Report(queue, "canceled", as_json=as_json)
    asyncio.run(_each(report, target, ids, partial(_canceling, dependents=dependents)))


def requeue(
    ids: Ids,
    *,
    at_front: Annotated[bool, typer.Option("--at-front", help="Put them at the front of the queue.")] = False,
    dependents: Annotated[
        bool, typer.Option("--dependents", help="With them, those that their ends have canceled or failed.")
    ] = False,
    queue: QueueOption = None,
    target: Target,
    as_json: JsonOption = False,
) -> None:
    """Requeue jobs that have failed, expired, or were canceled or stopped."""
    report = Report(queue, "requeued", as_json=as_json)
    verb = partial(_requeueing, report=report, at_front=at_front, dependents=dependents)
    asyncio.run(_each(report, target, ids, verb))


def stop(ids: Ids, *, queue: QueueOption = None, target: Target, as_json: JsonOption = False) -> None:
    """End running jobs. They are not retried."""
    asyncio.run(
        _each(Report(queue, "stopped", as_json=as_json), target, ids, lambda found: found.store.changes.stop)
    )


def delete(ids: Ids, *, queue: QueueOption = None, target: Target, as_json: JsonOption = False) -> None:
    """Remove jobs and everything stored about them. A running job is ended."""
    asyncio.run(_each(Report(queue, "deleted", as_json=as_json), target, ids, _deleting))


async def _each(report: Report, target: Target, ids: Sequence[str], verb: Callable[[Queue], Verb]) -> None:
    async with connected(target) as connection:
        found = await find(connection, list(dict.fromkeys(ids)), report.queue)

        for job_id, queues in found.items():
            if (refused := refusal(queues)) is not None:
                report.add(job_id, refused)
                continue

            verdict, status = await verb(queues[0])(job_id)
            report.add(job_id, _refusal(verdict, status, report.word), queues[0].name)

    report.end()


def _canceling(queue: Queue, *, dependents: bool) -> Verb:
    async def cancel_one(job_id: str) -> tuple[str, str]:
        if dependents and (job := await queue.fetch_job(job_id)) is not None:
            await job.cancel_dependents()

        return await queue.store.changes.cancel(job_id)

    return cancel_one


def _requeueing(queue: Queue, *, report: Report, at_front: bool, dependents: bool) -> Verb:
    async def requeue_one(job_id: str) -> tuple[str, str]:
        if dependents:
            (verdict,), states = await requeue_with_dependents(
                queue.store, [job_id], at_front=at_front, reset=True
            )
            report.add_dependents(states)
        else:
            (verdict,) = await queue.store.changes.requeue([job_id], at_front=at_front, reset=True)

        return (verdict, "") if verdict in ("ok", "gone") else ("refused", verdict)

    return requeue_one


def _deleting(queue: Queue) -> Verb:
    async def delete_one(job_id: str) -> tuple[str, str]:
        return ("ok" if await queue.store.changes.delete([job_id]) else "gone"), ""

    return delete_one


def _refusal(verdict: str, status: str, word: str) -> str | None:
    return {"ok": None, "gone": "not found", "already": f"already {word}"}.get(verdict, f"not {word} ({status})")


def ls(
    queues: Names = None,
    *,
    queue: Of = None,
    status: Status = None,
    limit: Limit = 50,
    offset: Offset = 0,
    desc: Desc = False,
    callbacks: Callbacks = False,
    target: Target,
    as_json: JsonOption = False,
) -> None:
    """List the jobs of a queue, by state and then by time."""
    names = list(dict.fromkeys([*(queues or []), *([] if queue is None else [queue])])) or ["default"]
    states = list(JobStatus) if status is None else [status]

    if callbacks and status is not None:
        raise typer.BadParameter("it cannot be combined with --status", param_hint="'--callbacks'")

    documents = []

    for name in names:
        if callbacks:
            listing = asyncio.run(_list_callbacks(name, target, offset, limit, desc))
        else:
            listing = asyncio.run(_list(name, target, states, offset, limit, desc))

        if as_json:
            documents.append(_document(name, *listing))
        else:
            _print(f"{name}:" if len(names) > 1 else "", *listing)

    if as_json:
        output.say_json(documents[0] if len(documents) == 1 else documents)


def _document(name: str, jobs: list[Job[Any]], missing: list[str], total: int) -> dict[str, Any]:
    found = {"queue": name, "total": total, "jobs": [row(each) for each in jobs]}

    return found | ({"missing": missing} if missing else {})


def _print(head: str, jobs: list[Job[Any]], missing: list[str], total: int) -> None:
    for each in missing:
        output.warn(f"{each}: missing: it is listed, but no record of it is stored (any more)")

    if head:
        output.say(head)

    if not sys.stdout.isatty():
        output.say_table(list_table(jobs))

        if len(jobs) + len(missing) < total:
            output.warn(f"{len(jobs)} of {output.count(total, 'job')}; --limit and --offset show others")

        return

    if jobs:
        output.say_table(short_list_table(jobs))

    output.say(f"{len(jobs)} of {output.count(total, 'job')}")


async def _list_callbacks(
    name: str, target: Target, offset: int, limit: int, desc: bool
) -> tuple[list[Job[Any]], list[str], int]:
    async with opened(name, target) as queue:
        await tell_of_missing(queue.connection, [name])
        counts = await queue.store.reads.count()
        ids, _ = await queue.store.reads.ids(CALLBACKS, offset, limit, desc=desc)
        jobs = await Job.fetch_many(ids, queue)

    return [job for job in jobs if job is not None], [], counts.callbacks


async def _list(
    name: str, target: Target, states: Sequence[JobStatus], offset: int, limit: int, desc: bool
) -> tuple[list[Job[Any]], list[str], int]:
    jobs: list[Job[Any]] = []
    gone: list[str] = []

    async with opened(name, target) as queue:
        await tell_of_missing(queue.connection, [name])
        counts = await queue.store.reads.count()
        sizes = {state: counts[state] for state in states}

        for state, size in sizes.items():
            room = limit - len(jobs) - len(gone)

            if room > 0 and offset < size:
                found, missing = await Registry(queue.store, state).jobs_and_missing(offset, room, desc=desc)
                jobs += found
                gone += missing

            offset = max(0, offset - size)

    return jobs, gone, sum(sizes.values())
