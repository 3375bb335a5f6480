"""`aioq enqueue`: put one call into a queue."""

from __future__ import annotations

import asyncio
from datetime import datetime
from typing import Annotated, Any, NamedTuple

import typer

from aioq.cli import output
from aioq.cli.arguments import read_arguments
from aioq.cli.checks import checked, read_seconds
from aioq.cli.common import CommandError, JsonOption, Target, connected, make_importable
from aioq.cli.complete import queue_names
from aioq.cli.hints import tell_of_no_worker
from aioq.cli.job_options import with_job_options
from aioq.client.endings import STATES
from aioq.client.job import Job
from aioq.client.queue import Queue
from aioq.values.calltext import call_text
from aioq.values.durations import pause_ms
from aioq.values.errors import JobFailed
from aioq.values.failure import Failure

Function = Annotated[str, typer.Argument(metavar="FUNCTION", help="Its dotted name: package.module.function.")]
Words = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="ARGS",
        help="Its arguments: text, :json or %literal; by name key=text, key:=json or key%=literal;"
        " @file takes the content of a file.",
    ),
]
Into = Annotated[
    str, typer.Option("--queue", "-q", metavar="QUEUE", autocompletion=queue_names, help="The queue.")
]
SerializerName = Annotated[
    str,
    typer.Option(
        "--serializer",
        "-S",
        metavar="NAME",
        help="For arguments and the result: pickle, json, typed, or one of your own, such as shop.codec:Codec.",
    ),
]
ScheduleIn = Annotated[
    str | None,
    typer.Option(metavar="DURATION", callback=checked(pause_ms), help="Enqueue it after this time: 10s, 5m, 2d."),
]
ScheduleAt = Annotated[
    str | None,
    typer.Option(
        metavar="ISO",
        help="Enqueue it at this time: 2030-01-31T08:00, with a time zone or in this machine's.",
    ),
]
Wait = Annotated[bool, typer.Option("--wait", help="Wait for the end, and print the result.")]
WaitTimeout = Annotated[str | None, typer.Option(metavar="DURATION", help="Wait at most this long.")]
Quiet = Annotated[bool, typer.Option("--quiet", help="Do not print what was enqueued.")]


@with_job_options
def enqueue(
    function: Function,
    words: Words = None,
    *,
    queue: Into = "default",
    options: dict[str, Any],
    serializer: SerializerName = "pickle",
    schedule_in: ScheduleIn = None,
    schedule_at: ScheduleAt = None,
    wait: Wait = False,
    wait_timeout: WaitTimeout = None,
    target: Target,
    as_json: JsonOption = False,
    quiet: Quiet = False,
) -> None:
    """Put a call into a queue, now or for later."""
    args, kwargs = read_arguments(words or [])
    options |= {"args": args, "kwargs": kwargs}
    moment = _moment(schedule_at, schedule_in)

    if wait_timeout is not None and not wait:
        raise typer.BadParameter("it needs --wait", param_hint="'--wait-timeout'")

    longest = read_seconds(wait_timeout, "--wait-timeout", 0)
    make_importable()
    asyncio.run(
        _enqueue(queue, target, function, options, moment, _Asked(wait, longest, as_json, quiet, serializer))
    )


class _Asked(NamedTuple):
    """How the job is serialised, and what happens once it is enqueued."""

    wait: bool
    longest: float | None
    as_json: bool
    quiet: bool
    serializer: str


async def _enqueue(
    name: str,
    target: Target,
    function: str,
    options: dict[str, Any],
    moment: datetime | str | None,
    asked: _Asked,
) -> None:
    async with connected(target, starts=True) as connection:
        queue = Queue(name, connection, serializer=asked.serializer)
        job = await _put(queue, function, options, moment)

        if not asked.quiet and not asked.as_json:
            output.say(f"Enqueued {call_text(job.record)} with job-id '{job.id}'.")
            await tell_of_no_worker(queue)

        ending = await _ending(job, asked.longest) if asked.wait else {"status": str(job.status)}

    if asked.as_json:
        document = {"id": job.id, "queue": name, "function": job.func_name} | ending
        output.say_json({key: output.as_json(value) for key, value in document.items()})
    elif "result" in ending:
        output.say(ending["result"] if isinstance(ending["result"], str) else output.as_text(ending["result"]))
    elif "error" in ending:
        raise CommandError(f"job {job.id}: {_line(ending)}")

    if "error" in ending:
        raise typer.Exit(1)


async def _put(queue: Queue, function: str, options: dict[str, Any], moment: datetime | str | None) -> Job[Any]:
    if isinstance(moment, datetime):
        return await queue.enqueue_at(moment, function, **options)

    if moment is not None:
        return await queue.enqueue_in(moment, function, **options)

    return await queue.enqueue(function, **options)


async def _ending(job: Job[Any], longest: float | None) -> dict[str, Any]:
    """The job's status, and its result or error."""
    try:
        await job.result(longest)

        return {"status": "finished", "result": job.record.result(plain=True)}
    except JobFailed as error:
        told = {"error_type": error.error_type, "error_message": error.error_message, "error": error.exc_info}

        return {"status": STATES[type(error)]} | told
    except TimeoutError as error:
        reason = str(error).removeprefix(f"job {job.id} ")

        return {"status": str(await job.get_status()), "error": f"it {reason}"}


def _line(ending: dict[str, Any]) -> str:
    """Why there is no result: the exception's class and the first line of its message, or how the job ended."""
    text = str(ending["error"])

    return Failure(text, ending.get("error_type"), ending.get("error_message", text)).line


def _moment(at: str | None, delay: str | None) -> datetime | str | None:
    """When the job is due: a time, a delay, or None for now."""
    if at is None:
        return delay

    if delay is not None:
        raise typer.BadParameter("it cannot be combined with --schedule-in", param_hint="'--schedule-at'")

    try:
        return datetime.fromisoformat(at)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="'--schedule-at'") from None
