"""WorkerPool: what an application or the command line starts to run jobs in several processes."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import asdict
from functools import partial
from typing import Any

from aioq.client.plain import coroutine_method
from aioq.client.queue import Queue
from aioq.pool.functions import named_functions, without_names
from aioq.pool.reports import Reports
from aioq.pool.settings import ChildSettings, PoolSettings
from aioq.pool.supervisor import Supervisor
from aioq.store import connect
from aioq.values.durations import Duration, positive_ms, to_ms
from aioq.values.errors import InvalidInput, WorkerError
from aioq.values.numbers import whole
from aioq.values.options import RESULT_TTL_MS
from aioq.values.options import Executor as Placement
from aioq.values.rq_names import POOL, POOL_ARGUMENTS, RUN_ARGUMENTS, tell_rq_arguments, tell_rq_names
from aioq.values.signature import Keyring, Secret
from aioq.values.sizes import Size, read_size
from aioq.worker.ending import CANCEL_GRACE_S
from aioq.worker.exception_handlers import ExceptionHandler
from aioq.worker.hooks import WorkerHook
from aioq.worker.imports import check_modules
from aioq.worker.lifespan import LifespanFunction
from aioq.worker.lines import current_style
from aioq.worker.memory import check_readable
from aioq.worker.middleware import RunMiddleware
from aioq.worker.signals import StopSignals
from aioq.worker.user_code import ProcessLifespan
from aioq.worker.worker import CONCURRENCY, SHUTDOWN_TIMEOUT_S, Worker

#: What a process may take to stop beside the times of its options, in seconds. Then it is killed.
LEAVING_S = 10.0

#: The signals of a pool: two to stop, and one to restart.
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@tell_rq_names(POOL)
class WorkerPool:
    """Runs jobs in several processes, each with a worker, and keeps these processes going.

    A process that has died is started again, and its jobs go back to their queues at once. Most arguments are
    those of `Worker`, and hold for the worker of each process.

    Args:
        queues: the names of the queues, in the order in which they are served.
        connection: the URL of the server; None: that of the environment. The processes open their own connections.
        processes: how many (default: one for each core that this process may use).
        max_jobs: replace a process that has claimed this many jobs (default: never). Its successor starts while
            its last jobs run.
        max_memory: replace a process that has more resident memory than this, in bytes or as a text such as
            "500MB" (default: never). Linux only.
        concurrency: how many jobs run side by side in each process (default 100).
        job_processes: as for Worker, in each process.
        job_process_max_jobs: as for Worker.
        job_process_max_memory: as for Worker.
        executor: as for Worker.
        name: the beginning of the workers' names. The number of the process and a random end are added
            (default: host and process id).
        result_ttl: as for Worker.
        shutdown_timeout: as for Worker. It also holds when a process is replaced.
        cancel_grace: as for Worker.
        prefix: as for Worker.
        allow: as for Worker.
        secret: as for Worker. The processes get it on a socket, and not in their command lines.
        lifespan, on_startup, on_shutdown, middleware, exception_handlers, process_lifespan: as for Worker, for
            that of each process; functions of modules, or their names such as "shop.worker:lifespan".
        serializers: as for Worker, by their names.
        imports: as for Worker.
        webhook_allow_private, webhook_secrets: as for Worker. The processes get secrets on a socket.
        log_jobs: as for Worker.

    Raises:
        InvalidInput: a value cannot be used, or cannot be passed on to another process.

    Example:
        >>> pool = WorkerPool(["high", "low"], "redis://localhost:6379/0", processes=4)  # doctest: +SKIP
        >>> await pool.run(signals=True)  # doctest: +SKIP

    """

    _supervisor: Supervisor | None = None
    _stops = 0

    @tell_rq_arguments(POOL_ARGUMENTS)
    def __init__(
        self,
        queues: str | Sequence[str] = "default",
        connection: str | None = None,
        *,
        processes: int | None = None,
        max_jobs: int | None = None,
        max_memory: Size | None = None,
        concurrency: int = CONCURRENCY,
        job_processes: int | None = None,
        job_process_max_jobs: int | None = None,
        job_process_max_memory: Size | None = None,
        executor: Placement | None = None,
        name: str | None = None,
        result_ttl: Duration = RESULT_TTL_MS / 1000,
        shutdown_timeout: Duration = SHUTDOWN_TIMEOUT_S,
        cancel_grace: Duration = CANCEL_GRACE_S,
        prefix: str | None = None,
        allow: str | Sequence[str] | None = None,
        secret: Secret = None,
        lifespan: LifespanFunction | str | None = None,
        on_startup: Iterable[WorkerHook | str] = (),
        on_shutdown: Iterable[WorkerHook | str] = (),
        middleware: Iterable[RunMiddleware | str] = (),
        exception_handlers: Iterable[ExceptionHandler | str] = (),
        process_lifespan: ProcessLifespan | None = None,
        serializers: str | Sequence[str] = (),
        imports: str | Sequence[str] = (),
        webhook_allow_private: bool = False,
        webhook_secrets: Mapping[str, str | Sequence[str]] | None = None,
        log_jobs: bool = False,
    ) -> None:
        _check_plain(queues, connection, secret)
        functions: dict[str, Any] = {"lifespan": lifespan, "process_lifespan": process_lifespan}
        functions |= {"on_startup": on_startup, "on_shutdown": on_shutdown}
        functions |= {"middleware": middleware, "exception_handlers": exception_handlers}
        self._functions = named_functions(functions)
        self._options: dict[str, Any] = {"concurrency": concurrency, "executor": executor, "name": name}
        self._options |= {"prefix": prefix, "allow": allow, "secret": secret, "log_jobs": log_jobs}
        self._options |= {"job_processes": job_processes, "job_process_max_jobs": job_process_max_jobs}
        self._options |= {"webhook_allow_private": webhook_allow_private, "webhook_secrets": webhook_secrets}
        times = _in_seconds(result_ttl=result_ttl, shutdown_timeout=shutdown_timeout, cancel_grace=cancel_grace)
        self._options |= {"job_process_max_memory": job_process_max_memory, **times}
        # It refuses what the workers of the processes would refuse.
        options = self._options | without_names(functions)
        self.queue_names: list[str] = Worker(queues, connection, **options).queue_names
        self.processes: int = cores() if processes is None else whole(processes, "processes", 1)
        self._options["serializers"] = _several(serializers)  # only the processes load them
        self._max_jobs = None if max_jobs is None else whole(max_jobs, "max_jobs", 1)
        self._max_memory = _read_max_memory(max_memory)
        self._imports, self._url = check_modules(imports), connection

    def request_stop(self) -> None:
        """Let no process claim any more, and running jobs end; called again: hand them back at once.

        It holds for the run that is about to begin, too, if it is asked for before.
        """
        self._stops += 1

        if self._supervisor is not None:
            self._supervisor.request_stop()

    def request_restart(self) -> None:
        """Replace all processes, one after the other, so that they load code and configuration anew.

        A process is stopped when its successor serves. If a successor cannot begin, the old processes go on.
        """
        if self._supervisor is not None:
            self._supervisor.request_restart()

    @tell_rq_arguments(RUN_ARGUMENTS)
    @coroutine_method
    async def run(
        self,
        *,
        burst: bool = False,
        max_idle_time: Duration | None = None,
        signals: bool = False,
        ready: Callable[[], None] | None = None,
    ) -> int:
        """Keep the processes going until a stop is asked for.

        Args:
            burst: each process stops when the queues are empty and none of its jobs runs; end with the last one.
            max_idle_time: each process stops after this long without a job; end with the last one.
            signals: let SIGINT and SIGTERM ask for a stop, a second one hurry it, and SIGHUP ask for a restart.
            ready: called when all processes serve the queues.

        Returns:
            How many jobs were claimed by processes that have ended in order.

        Raises:
            WorkerError: the pool runs already, or no process could begin; the text is that of the first one.
            InvalidInput: no process could begin, because of a value that can never be used.

        """
        if self._supervisor is not None:
            raise WorkerError("the pool runs already")

        settings = self._settings(burst=burst, max_idle_time=max_idle_time)
        connect_to = partial(connect, self._url, prefix=self._options["prefix"], secret=self._options["secret"])
        self._supervisor = supervisor = Supervisor(settings, Reports(connect_to, self.queue_names))
        was_on_terminal = _is_on_terminal()

        def hear(number: int) -> None:
            # A terminal that was closed sends SIGHUP, too.
            if number == signal.SIGHUP and not (was_on_terminal and not _is_on_terminal()):
                self.request_restart()
            else:
                self.request_stop()

        try:
            for _ in range(self._stops):
                supervisor.request_stop()

            with StopSignals(asyncio.get_running_loop(), hear, SIGNALS) if signals else nullcontext():
                await supervisor.run(ready or _nothing)
        finally:
            self._supervisor = None
            self._stops = 0

        return supervisor.claimed

    def __repr__(self) -> str:
        return f"<WorkerPool of {self.processes} for {', '.join(self.queue_names)}>"

    def _settings(self, *, burst: bool, max_idle_time: Duration | None) -> PoolSettings:
        idle = None if max_idle_time is None else positive_ms(max_idle_time, "max_idle_time") / 1000
        grace = self._options["cancel_grace"]

        return PoolSettings(
            processes=self.processes,
            child=ChildSettings(
                queues=self.queue_names,
                url=self._url,
                options=self._options,
                limits={"burst": burst, "max_idle_time": idle},
                imports=list(self._imports),
                functions=self._functions,
                style=asdict(current_style()),
            ),
            max_jobs=self._max_jobs,
            max_memory=self._max_memory,
            ends=burst or idle is not None,
            stop_s=self._options["shutdown_timeout"] + grace + LEAVING_S,
            hurried_s=grace + LEAVING_S,
        )


def cores() -> int:
    """How many cores this process may use."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # not on every system
        return os.cpu_count() or 1


def _several(names: str | Sequence[str]) -> list[str]:
    return [names] if isinstance(names, str) else list(names)


def _nothing() -> None:
    pass


def _is_on_terminal() -> bool:
    return os.isatty(0)


def _check_plain(queues: object, connection: object, secret: object) -> None:
    """Refuse what cannot be passed on to other processes.

    Raises:
        InvalidInput: a value is no text.

    """
    for each in [queues] if isinstance(queues, Queue) else queues if isinstance(queues, list | tuple) else ():
        if isinstance(each, Queue):
            raise InvalidInput(
                f"queues={each!r}: expected the name of a queue, since a pool passes it on to other processes;"
                " connection= takes the URL"
            )

    if connection is not None and not isinstance(connection, str):
        raise InvalidInput(
            f"connection={connection!r}: expected the URL of the server: the processes of a pool open their own"
            " connections"
        )

    if isinstance(secret, Keyring):
        raise InvalidInput("secret: expected a text, or a list of texts, since a pool passes it on")


def _in_seconds(**durations: Duration) -> dict[str, float]:
    """Durations as they are passed on. Raises InvalidInput."""
    return {name: to_ms(value, name) / 1000 for name, value in durations.items()}


def _read_max_memory(value: Size | None) -> int | None:
    if value is None:
        return None

    check_readable("max_memory", "max_jobs")

    return read_size(value, "max_memory")
