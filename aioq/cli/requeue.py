"""`aioq requeue`: requeue jobs that ended without a result."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from enum import StrEnum
from typing import Annotated

import typer

from aioq.cli.checks import refuse_names_with_all
from aioq.cli.common import CHUNK, JsonOption, QueueOption, Target, connected, lookup_ids, tell_of_missing
from aioq.cli.complete import job_ids
from aioq.cli.find import by_queue, find, refusal
from aioq.cli.matching import DryRun, FilterOption, FingerprintOption, act_on_all, joined
from aioq.cli.output import count, progress
from aioq.cli.report import Report
from aioq.client.bulk import requeue_all
from aioq.client.queue import Queue
from aioq.client.registry import Registry
from aioq.client.related import requeue_with_dependents
from aioq.store import Connection, Directory
from aioq.values.errors import InvalidInput
from aioq.values.states import JobStatus


class Source(StrEnum):
    """The states that a job can be requeued from."""

    FAILED = "failed"
    CANCELED = "canceled"
    STOPPED = "stopped"
    EXPIRED = "expired"


def requeue(
    ids: Annotated[
        list[str] | None,
        typer.Argument(metavar="IDS", callback=lookup_ids, autocompletion=job_ids, help="The jobs."),
    ] = None,
    *,
    queue: QueueOption = None,
    every: Annotated[bool, typer.Option("--all", "-a", help="All jobs that are in the registry now.")] = False,
    source: Annotated[Source, typer.Option("--from", help="The state that the jobs must be in.")] = Source.FAILED,
    at_front: Annotated[bool, typer.Option("--at-front", help="Put them at the front of the queue.")] = False,
    dependents: Annotated[
        bool, typer.Option("--dependents", help="With them, those that their ends have canceled or failed.")
    ] = False,
    filter: FilterOption = None,  # noqa: A002 - the option's name
    fingerprint: FingerprintOption = None,
    dry_run: DryRun = False,
    keep_retries: Annotated[bool, typer.Option("--keep-retries", help="Do not reset their attempts.")] = False,
    target: Target,
    as_json: JsonOption = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print errors only.")] = False,
) -> None:
    """Put failed jobs back into their queue. Each id is reported; a refused id does not stop the others."""
    if every:
        refuse_names_with_all(ids or [])

    if filter is not None or fingerprint is not None:
        if ids or every or dependents:
            raise InvalidInput("--filter and --fingerprint go neither with ids nor with --all or --dependents")

        text = joined(filter, fingerprint)
        told = {"dry_run": dry_run, "as_json": as_json, "quiet": quiet}
        options = {"at_front": at_front, "reset": not keep_retries}
        act_on_all("requeue", "requeued", text, queue=queue, target=target, **told, **options)

        return

    if queue is None and not ids:
        raise InvalidInput("give ids, or --queue with --all")

    report = Report(queue, "requeued", as_json=as_json, quiet=quiet)
    state = JobStatus(source.value)
    options = {"at_front": at_front, "reset": not keep_retries}

    if dependents and every:
        raise InvalidInput("--dependents: give ids; it does not go with --all")

    asyncio.run(
        _requeue(report, target, state, None if every else list(dict.fromkeys(ids or [])), options, dependents)
    )
    report.end()


async def _requeue(
    report: Report,
    target: Target,
    state: JobStatus,
    ids: Sequence[str] | None,
    options: dict[str, bool],
    dependents: bool,
) -> None:
    async with connected(target) as connection:
        if ids is None:
            assert report.queue is not None  # it was asked for
            await _requeue_all(Queue(report.queue, connection), report, state, options)
        elif ids:
            await _requeue_these(connection, report, state, ids, options, dependents)
        else:
            report.say("Nothing to do")


async def _requeue_these(
    connection: Connection,
    report: Report,
    state: JobStatus,
    ids: Sequence[str],
    options: dict[str, bool],
    dependents: bool,
) -> None:
    has_begun = False
    states: dict[str, str] = {}

    for start in range(0, len(ids), CHUNK):
        chunk = ids[start : start + CHUNK]
        found = await find(connection, chunk, report.queue)
        done: dict[str, tuple[str | None, str]] = {}

        for queue, mine in by_queue(chunk, found).items():
            if dependents:
                verdicts, some = await requeue_with_dependents(queue.store, mine, only=state, **options)
                states |= some
            else:
                at_front, reset = options["at_front"], options["reset"]
                verdicts = await queue.store.changes.requeue(mine, at_front=at_front, reset=reset, only=state)

            done |= {
                job_id: (_refusal(verdict, state), queue.name)
                for job_id, verdict in zip(mine, verdicts, strict=True)
            }

        if not has_begun and any(refused is None for refused, _ in done.values()):
            has_begun = True
            report.say(_beginning(len(ids), state))

        queues = await _queues_among(connection, [job_id for job_id in chunk if not found[job_id]])

        for job_id in chunk:
            refused, name = done.get(job_id, (refusal(found[job_id]), ""))
            hint = f"; a queue has this name: --queue {job_id}" if job_id in queues else ""
            report.add(job_id, refused and refused + hint, name)

    if dependents:
        report.add_dependents(states)


async def _queues_among(connection: Connection, ids: Sequence[str]) -> set[str]:
    """The ids without a job that are names of queues, since -q means --queue in other commands."""
    return set(ids) & set(await Directory(connection, away={}).queues()) if ids else set()


async def _requeue_all(queue: Queue, report: Report, state: JobStatus, options: dict[str, bool]) -> None:
    """Requeue the jobs that are in the registry at the start; a job that fails again meanwhile stays there."""
    if await tell_of_missing(queue.connection, [queue.name]):
        raise typer.Exit(1)

    total = await Registry(queue.store, state).count()

    if not total:
        report.say("Nothing to do")

        return

    report.say(_beginning(total, state))

    with progress(total, "Requeueing", err=True) as advance:
        async for chunk in requeue_all(queue.store, state, **options):
            for job_id, verdict in chunk:
                if verdict == "ok":
                    report.done.append(job_id)
                elif verdict == "gone":  # other refused jobs were requeued or deleted by another client meanwhile
                    report.add(job_id, f"missing: the {state} registry listed it, but no record of it is stored")

            advance(len(chunk))

    report.say(f"{count(len(report.done), 'job')} requeued")


def _beginning(total: int, state: JobStatus) -> str:
    return f"Requeueing {count(total, 'job')} from {state} registry"


def _refusal(verdict: str, state: JobStatus) -> str | None:
    if verdict == "ok":
        return None

    return "not found" if verdict == "gone" else f"not {state} ({verdict})"
