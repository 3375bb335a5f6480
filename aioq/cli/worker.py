"""`aioq worker`: run jobs until a signal or a limit stops it."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Callable, Coroutine, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Any, TypeAlias

import typer

from aioq.cli import ending
from aioq.cli.checks import checked, positive
from aioq.cli.common import CommandError, Target, connected, make_importable
from aioq.cli.complete import queue_names
from aioq.cli.from_rq import read_concurrency
from aioq.cli.logs import (
    DateFormat,
    Level,
    LogFormat,
    LogJobs,
    LogJson,
    LogLevel,
    LogTracebacks,
    Quiet,
    Verbose,
    configure_logging,
    tells_of_jobs,
)
from aioq.cli.reload import supervise
from aioq.store import Connection, Directory
from aioq.values.durations import pause_ms, positive_ms, retention_ms
from aioq.values.errors import ServerUnreachable
from aioq.values.options import check_executor
from aioq.values.resolving import split_spec
from aioq.worker.signals import StopSignals, signals_interrupt
from aioq.worker.streams import drop_what_nobody_takes

log = logging.getLogger("aioq.cli")

#: Called at the moment at which the worker serves, with what asks the worker to stop.
Serves: TypeAlias = Callable[[Callable[[], None]], None]

#: What makes the main task.
Main: TypeAlias = Callable[[Serves], Coroutine[Any, Any, None]]

#: How long a worker of a Cluster waits for the answer whether all workers are suspended, in seconds.
SUSPENSION_TIMEOUT_S = 1.0


#: Options with names of functions of the user's, which are loaded before the worker is made.
_LOADED = {
    "lifespan": "--lifespan",
    "middleware": "--middleware",
    "exception_handlers": "--exception-handler",
    "process_lifespan": "--process-lifespan",
}

Queues = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="QUEUES",
        autocompletion=queue_names,
        help="The queues, the most urgent first. Without names: default.",
    ),
]
Burst = Annotated[bool, typer.Option("--burst", "-b", help="Stop when the queues are empty.")]
Name = Annotated[
    str | None,
    typer.Option(
        "--name", "-n", metavar="NAME", help="The beginning of the worker's name. Without it: host and pid."
    ),
]
Concurrency = Annotated[
    int,
    typer.Option("--concurrency", "-c", parser=read_concurrency, metavar="N", help="Jobs that run side by side."),
]
JobProcesses = Annotated[
    int | None,
    typer.Option(
        callback=checked(positive),
        metavar="N",
        help="Processes for jobs with executor='process'. Without it: one for each core.",
    ),
]
Placement = Annotated[
    str | None,
    typer.Option(
        "--executor",
        metavar="EXECUTOR",
        callback=checked(check_executor),
        help="Where plain functions run: thread (default) or process. An option of the job, task or queue wins.",
    ),
]
ResultsTtl = Annotated[
    str,
    typer.Option(
        "--results-ttl",
        metavar="DURATION",
        callback=checked(retention_ms),
        help="How long results are kept, unless the job sets it: 90s, 5m, 1h30m, 2d.",
    ),
]
MaxJobs = Annotated[
    int | None,
    typer.Option("--max-jobs", callback=checked(positive), metavar="N", help="Stop after this many jobs."),
]
MaxIdle = Annotated[
    str | None,
    typer.Option(
        "--max-idle-time",
        metavar="DURATION",
        callback=checked(positive_ms),
        help="Stop after this long without a job.",
    ),
]
Shutdown = Annotated[
    str,
    typer.Option(
        "--shutdown-timeout",
        metavar="DURATION",
        callback=checked(pause_ms),
        help="How long running jobs may go on after a stop signal. Then they go back to their queue.",
    ),
]
Grace = Annotated[
    str,
    typer.Option(
        "--cancel-grace",
        metavar="DURATION",
        callback=checked(pause_ms),
        help="How long a job may clean up after a cancel, stop or timeout. Then the worker abandons it.",
    ),
]
PidFile = Annotated[
    Path | None, typer.Option("--pid", metavar="FILE", help="Write the process id there; removed at the end.")
]
Allow = Annotated[
    list[str] | None,
    typer.Option(
        metavar="PATTERN",
        help="Run only functions whose dotted names match, such as 'shop.tasks.*'; any number."
        " Without it: AIOQ_ALLOW, else all.",
    ),
]
Imports = Annotated[
    list[str] | None,
    typer.Option(
        "--import",
        metavar="MODULE",
        help="Import this module before the first job, such as shop.tasks; any number.",
    ),
]
LifespanName = Annotated[
    str | None,
    typer.Option(
        "--lifespan",
        metavar="MODULE:NAME",
        callback=checked(split_spec),
        help="Open what jobs share before the first job, and close it at the end, such as shop.worker:lifespan.",
    ),
]
Hooked = Annotated[
    list[str] | None,
    typer.Option(
        "--middleware",
        metavar="MODULE:NAME",
        callback=checked(split_spec),
        help="Run this around each job's function, such as shop.worker:timing; any number, the outermost first.",
    ),
]
Handlers = Annotated[
    list[str] | None,
    typer.Option(
        "--exception-handler",
        metavar="MODULE:NAME",
        callback=checked(split_spec),
        help="Call this for each attempt that has failed, such as shop.worker:report; any number.",
    ),
]
ProcessLifespan = Annotated[
    str | None,
    typer.Option(
        "--process-lifespan",
        metavar="MODULE:NAME",
        callback=checked(split_spec),
        help="As --lifespan, for each process of jobs with executor='process'.",
    ),
]
Reload = Annotated[
    bool,
    typer.Option(
        "--reload",
        help="For development: start again when Python files change here or in a --path; with the extra reload.",
    ),
]


def worker(
    queues: Queues = None,
    *,
    burst: Burst = False,
    name: Name = None,
    concurrency: Concurrency = 100,
    job_processes: JobProcesses = None,
    executor: Placement = None,
    results_ttl: ResultsTtl = "500s",
    max_jobs: MaxJobs = None,
    max_idle_time: MaxIdle = None,
    shutdown_timeout: Shutdown = "25s",
    cancel_grace: Grace = "5s",
    verbose: Verbose = False,
    quiet: Quiet = False,
    logging_level: LogLevel = Level.INFO,
    log_jobs: LogJobs = None,
    log_tracebacks: LogTracebacks = True,
    log_format: LogFormat = None,
    date_format: DateFormat = None,
    log_json: LogJson = False,
    pid: PidFile = None,
    allow: Allow = None,
    imports: Imports = None,
    lifespan: LifespanName = None,
    middleware: Hooked = None,
    exception_handler: Handlers = None,
    process_lifespan: ProcessLifespan = None,
    reload: Reload = False,
    target: Target,
) -> None:
    """Run the jobs of queues until SIGINT or SIGTERM. A second signal hands running jobs back at once."""
    level = _level(logging_level, verbose=verbose, quiet=quiet)

    if reload:
        supervise([Path(), *target.paths], [shutdown_timeout, cancel_grace])

    drop_what_nobody_takes()
    texts = {"log_format": log_format, "date_format": date_format}
    configure_logging(level, **texts, as_json=log_json, tracebacks=log_tracebacks)
    make_importable()
    options: dict[str, Any] = {
        "name": name,
        "concurrency": concurrency,
        "job_processes": job_processes,
        "executor": executor,
        "result_ttl": results_ttl,
        "shutdown_timeout": shutdown_timeout,
        "cancel_grace": cancel_grace,
        "allow": allow or None,
        "log_jobs": tells_of_jobs(log_jobs),
        "lifespan": lifespan,
        "middleware": middleware or [],
        "exception_handlers": exception_handler or [],
        "process_lifespan": process_lifespan,
    }
    limits: dict[str, Any] = {"burst": burst, "max_jobs": max_jobs, "max_idle_time": max_idle_time}
    run_to_end(partial(_serve, target, queues or ["default"], options, limits, pid, imports or []))


def _level(level: Level, *, verbose: bool, quiet: bool) -> Level:
    """The level of the log, from the three flags that set it."""
    if verbose and quiet:
        raise typer.BadParameter("it cannot be combined with --verbose", param_hint="'--quiet'")

    return Level.DEBUG if verbose else Level.WARNING if quiet else level


async def _serve(
    target: Target,
    queues: list[str],
    options: dict[str, Any],
    limits: dict[str, Any],
    pid: Path | None,
    imports: Sequence[str],
    serves: Serves,
) -> None:
    # No other command needs the loops of a worker.
    from aioq.worker.imports import check_modules, import_all, load  # noqa: PLC0415
    from aioq.worker.worker import Worker  # noqa: PLC0415

    with _pid_file(pid):
        with signals_interrupt():
            import_all(check_modules(imports))

            for name, option in _LOADED.items():
                given = options[name]

                if isinstance(given, list):
                    options[name] = [load(each, option) for each in given]
                elif given is not None:
                    options[name] = load(given, option)

        async with connected(target, starts=True) as connection:
            worker = Worker(queues, connection, **options)

            await _tell_of_suspension(connection)

            await worker.run(signals=True, ready=partial(serves, worker.request_stop), **limits)


async def _tell_of_suspension(connection: Connection) -> None:
    # In a Cluster, another server than those of the worker's queues may answer this, and it may be away.
    with suppress(ServerUnreachable, TimeoutError):
        async with asyncio.timeout(SUSPENSION_TIMEOUT_S if connection.is_cluster else None):
            if await Directory(connection).is_suspended():
                log.warning("all workers are suspended; this one waits for `aioq resume`")


def run_to_end(main: Main) -> None:
    """Run the worker to its end, whatever jobs raise into the event loop.

    Signals never raise here. They cancel the main task until the worker serves; from then on the worker handles
    them. One that came just before is passed on to it.

    Args:
        main: makes the main task.

    """
    received: list[int] = []
    request_stop: Callable[[], None] | None = None

    def note_that_it_serves(request: Callable[[], None]) -> None:
        nonlocal request_stop
        request_stop = request

    def end(number: int) -> None:
        if request_stop is not None:
            request_stop()
        else:
            received.append(number)
            task.cancel()

    loop = _new_loop()
    task = loop.create_task(main(note_that_it_serves))

    with StopSignals(loop, end):
        try:
            with suppress(asyncio.CancelledError):
                ending.complete(loop, task)
        finally:
            ending.close(loop)

    if task.cancelled():
        if not received:
            raise CommandError("a job has cancelled the worker")

        raise typer.Exit(128 + received[0])

    task.result()


def _new_loop() -> asyncio.AbstractEventLoop:
    if find_spec("uvloop") is None:
        return asyncio.new_event_loop()

    import uvloop  # noqa: PLC0415 - an extra

    return uvloop.new_event_loop()


@contextmanager
def _pid_file(path: Path | None) -> Iterator[None]:
    if path is None:
        yield

        return

    try:
        path.write_text(f"{os.getpid()}\n", encoding="ascii")
    except OSError as error:
        raise CommandError(f"--pid {path}: {error.strerror}") from error

    try:
        yield
    finally:
        path.unlink(missing_ok=True)
