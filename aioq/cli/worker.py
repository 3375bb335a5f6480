"""`aioq worker`: run jobs until a signal or a limit stops it, in this process or in several."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

import typer

from aioq.cli.common import CommandError, Target, connected, make_importable
from aioq.cli.function_options import FLAGS, Functions, with_function_options
from aioq.cli.logs import Logs, with_log_options
from aioq.cli.reload import supervise
from aioq.cli.worker_options import (
    Allow,
    Burst,
    Concurrency,
    Grace,
    Imports,
    JobProcesses,
    JobProcessMaxJobs,
    JobProcessMaxMemory,
    MaxIdle,
    MaxJobs,
    MaxMemory,
    Name,
    NumWorkers,
    PidFile,
    Placement,
    Processes,
    Queues,
    Reload,
    ResultsTtl,
    Serializers,
    Shutdown,
    WebhookAllowPrivate,
    read_processes,
)
from aioq.store import Connection, Directory
from aioq.values.errors import ServerUnreachable
from aioq.worker.main import Main, Serves, run_to_end
from aioq.worker.signals import signals_interrupt
from aioq.worker.streams import drop_what_nobody_takes

log = logging.getLogger("aioq.cli")

#: How long a worker of a Cluster waits for the answer whether all workers are suspended, in seconds.
SUSPENSION_TIMEOUT_S = 1.0


@with_log_options
@with_function_options
def worker(
    queues: Queues = None,
    *,
    burst: Burst = False,
    name: Name = None,
    processes: Processes = None,
    concurrency: Concurrency = 100,
    job_processes: JobProcesses = None,
    job_process_max_jobs: JobProcessMaxJobs = None,
    job_process_max_memory: JobProcessMaxMemory = None,
    executor: Placement = None,
    results_ttl: ResultsTtl = "500s",
    max_jobs: MaxJobs = None,
    max_memory: MaxMemory = None,
    max_idle_time: MaxIdle = None,
    shutdown_timeout: Shutdown = "25s",
    cancel_grace: Grace = "5s",
    logs: Logs,
    pid: PidFile = None,
    allow: Allow = None,
    webhook_allow_private: WebhookAllowPrivate = False,
    imports: Imports = None,
    functions: Functions,
    serializer: Serializers = None,
    reload: Reload = False,
    target: Target,
) -> None:
    """Run the jobs of queues until SIGINT or SIGTERM. A second signal hands running jobs back at once."""
    _check_max_memory(max_memory, processes)

    if reload:
        supervise([Path(), *target.paths], [shutdown_timeout, cancel_grace])

    options: dict[str, Any] = {"name": name, "concurrency": concurrency, "executor": executor}
    options |= {"allow": allow or None, "log_jobs": logs.tells_of_jobs}
    options |= {"job_processes": job_processes, "job_process_max_jobs": job_process_max_jobs}
    options |= {"job_process_max_memory": job_process_max_memory, "result_ttl": results_ttl}
    options |= {"shutdown_timeout": shutdown_timeout, "cancel_grace": cancel_grace}
    options |= {"serializers": serializer or [], "webhook_allow_private": webhook_allow_private}
    limits: dict[str, Any] = {"burst": burst, "max_idle_time": max_idle_time}
    served = queues or ["default"]

    if processes is None:
        limits |= {"max_jobs": max_jobs}
        _run(logs, pid, partial(_serve, target, served, options, limits, imports or [], functions))
    else:
        options |= {"processes": read_processes(processes, "--processes"), "imports": imports or []}
        options |= {"max_jobs": max_jobs, "max_memory": max_memory, **functions}
        _run(logs, pid, partial(_serve_pool, target, served, options, limits))


@with_log_options
@with_function_options
def worker_pool(
    queues: Queues = None,
    *,
    burst: Burst = False,
    num_workers: NumWorkers = "1",
    concurrency: Concurrency = 100,
    shutdown_timeout: Shutdown = "25s",
    logs: Logs,
    pid: PidFile = None,
    imports: Imports = None,
    functions: Functions,
    serializer: Serializers = None,
    target: Target,
) -> None:
    """Run the jobs of queues in several processes, as RQ does."""
    options: dict[str, Any] = {
        "processes": read_processes(num_workers, "--num-workers"),
        "concurrency": concurrency,
        "shutdown_timeout": shutdown_timeout,
        "log_jobs": logs.tells_of_jobs,
        "imports": imports or [],
        "serializers": serializer or [],
    }
    options |= functions
    _run(logs, pid, partial(_serve_pool, target, queues or ["default"], options, {"burst": burst}))


def _check_max_memory(max_memory: str | None, processes: str | None) -> None:
    if max_memory is not None and processes is None:
        raise typer.BadParameter(
            "it needs --processes: a pool replaces its processes", param_hint="'--max-memory'"
        )


def _run(logs: Logs, pid: Path | None, main: Main) -> None:
    """Run a worker or a pool to its end.

    Raises:
        Exit: with another exit code than 0.

    """
    drop_what_nobody_takes()
    logs.install()
    make_importable()

    async def run(serves: Serves) -> None:
        with _pid_file(pid):  # whoever has read it may send a signal
            await main(serves)

    if code := run_to_end(run):
        raise typer.Exit(code)


async def _serve(
    target: Target,
    queues: list[str],
    options: dict[str, Any],
    limits: dict[str, Any],
    imports: Sequence[str],
    functions: Functions,
    serves: Serves,
) -> None:
    # No other command needs the loops of a worker.
    from aioq.worker.imports import check_modules, import_all  # noqa: PLC0415
    from aioq.worker.loading import load_all  # noqa: PLC0415
    from aioq.worker.worker import Worker  # noqa: PLC0415

    with signals_interrupt():
        import_all(check_modules(imports))

        options |= load_all(functions, FLAGS)

    async with connected(target, starts=True) as connection:
        worker = Worker(queues, connection, imports=imports, **options)

        await _tell_of_suspension(connection)

        await worker.run(signals=True, ready=partial(serves, worker.request_stop), **limits)


async def _serve_pool(
    target: Target, queues: list[str], options: dict[str, Any], limits: dict[str, Any], serves: Serves
) -> None:
    from aioq.pool.pool import WorkerPool  # noqa: PLC0415 - it loads what a worker loads

    pool = WorkerPool(queues, target.url, prefix=target.prefix, **options)

    # An embedded server stays while the pool runs, whichever of its processes is replaced.
    async with connected(target, starts=True) as connection:
        await _tell_of_suspension(connection)
        serves(pool.request_stop)
        await pool.run(signals=True, **limits)


async def _tell_of_suspension(connection: Connection) -> None:
    # In a Cluster, another server than those of the worker's queues may answer this, and it may be away.
    with suppress(ServerUnreachable, TimeoutError):
        async with asyncio.timeout(SUSPENSION_TIMEOUT_S if connection.is_cluster else None):
            if await Directory(connection).is_suspended():
                log.warning("all workers are suspended; this one waits for `aioq resume`")


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
