"""Worker: what an application or the command line starts to run jobs."""

from __future__ import annotations

import logging
import os
import secrets
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace

from anyio import CancelScope

from aioq.client.plain import coroutine_method
from aioq.client.queue import Queue
from aioq.store import Connection, Server, check_server, connect
from aioq.store.net.per_loop import check_loop
from aioq.values.allowlist import read_allow
from aioq.values.durations import Duration, positive_ms, retention_ms, to_ms
from aioq.values.errors import InvalidInput, WorkerError
from aioq.values.ids import check_queue_name
from aioq.values.numbers import whole
from aioq.values.options import RESULT_TTL_MS, THREAD, check_executor
from aioq.values.options import Executor as Placement
from aioq.values.rq_names import RUN_ARGUMENTS, WORKER, WORKER_ARGUMENTS, tell_rq_arguments, tell_rq_names
from aioq.values.serializer import TYPED, OwnSerializer, find_serializer
from aioq.values.signature import Secret, read_secret
from aioq.values.sizes import Size
from aioq.worker.dependencies import NO_OVERRIDES
from aioq.worker.ending import CANCEL_GRACE_S
from aioq.worker.exception_handlers import ExceptionHandler
from aioq.worker.for_tests import ForTests
from aioq.worker.hooks import WorkerHook
from aioq.worker.imports import check_modules, import_all
from aioq.worker.lifespan import Lifespan, LifespanFunction
from aioq.worker.lines import keep_enabled
from aioq.worker.middleware import RunMiddleware
from aioq.worker.schemas import schemas_of
from aioq.worker.service import Service
from aioq.worker.settings import WorkerSettings, read_name, read_process_limits
from aioq.worker.user_code import ProcessLifespan, UserCode
from aioq.worker.webhook_settings import read_webhook_settings

log = logging.getLogger("aioq.worker")

#: Jobs that a worker runs side by side, unless it is told otherwise.
CONCURRENCY = 100

#: How long running jobs may go on after a stop was asked for, in seconds. Kubernetes kills after 30.
SHUTDOWN_TIMEOUT_S = 25.0

#: Patterns of functions, for workers that are given none.
ALLOW_VARIABLE = "AIOQ_ALLOW"


@tell_rq_names(WORKER)
class Worker:
    """Runs jobs of one or more queues, many at once, in one asyncio process.

    Args:
        queues: queues or their names, in the order in which they are served: a job of the first goes before all
            jobs of the second.
        connection: as for Queue; None: that of the first Queue, else the environment's URL.
        concurrency: how many jobs run side by side (default 100).
        job_processes: how many processes there may be for jobs with executor="process" (default: one for each
            core). They are started when they are first needed, and used again.
        job_process_max_jobs: a process for jobs ends after this many jobs, and the next job gets a new one
            (default: it is used as long as the worker runs).
        job_process_max_memory: a process for jobs ends after a job if it holds more resident memory than this, in
            bytes or as a text such as "500MB" (default: any amount). Linux only.
        executor: "thread" (default) or "process", for plain functions where neither the job, nor its task, nor its
            queue says where they run.
        name: the beginning of the worker's name (default: host and process id). A random end keeps two that
            were started with the same name apart.
        result_ttl: how long results are kept of jobs that do not say (default 500 s).
        shutdown_timeout: how long running jobs may go on after a stop was asked for (default 25 s); what is left
            then goes back to its queue, without using up an attempt.
        cancel_grace: how long a run may clean up that was cancelled, stopped or timed out, or that is left when
            the worker stops (default 5 s). Then it is cancelled once more, and given up.
        prefix: the first word of every key (default: that of the connection or the Queue, else AIOQ_PREFIX,
            else "aioq").
        allow: patterns of the functions that it may run, such as "shop.tasks.*": a job of any other fails before
            anything of it is loaded. None: AIOQ_ALLOW; without that, all functions.
        secret: as for Queue: jobs that are not signed are refused unread, and results are signed.
        lifespan: opens what jobs share, and closes it: a function with `@asynccontextmanager` that is called with
            the worker. It is entered before the first claim and left after the last run; what it yields is
            `job.resources`.
        on_startup: functions that are called with the worker when the lifespan was entered, before the first
            claim; coroutine functions are awaited. If one fails, the worker does not begin.
        on_shutdown: functions that are called with the worker after the last run, before the lifespan is left.
            If one fails, the others are called all the same.
        middleware: coroutine functions that run around the call of each job's function, the outermost first:
            each gets the job and `call_next`, and what it returns is the result.
        exception_handlers: functions that are called with the job and an exception's class, value and traceback
            for each attempt that has failed, as RQ's are: one that returns False ends the row. A handler that
            fails is logged.
        process_lifespan: as lifespan, for the processes of jobs with executor="process": a function of a module
            with `@contextmanager`, or its name "module:name". Each process enters it at its beginning.
        imports: modules that `run` imports at its beginning, such as "shop.tasks", on the thread that it is called
            on. Others are imported on a thread of their own, when their first job comes.
        serializers: those of your own that jobs are written with; aioq's own are known. "typed": each task of
            `imports` is typed, also those that belong to no queue.
        webhook_allow_private: send webhooks to addresses that are not public, too: of this machine, of its network
            (default False: such a webhook fails).
        webhook_secrets: what webhooks are signed with that name a secret: "whsec_…" by name; several as a list,
            and each signs. Those of the environment are known, too: AIOQ_WEBHOOK_SECRET_BILLING is "billing".
        log_jobs: log the begin and the end of each job at the level INFO (default False: at DEBUG). If there are
            many of them, how many have finished is logged instead.

    Raises:
        InvalidInput: a value cannot be used.

    Example:
        >>> worker = Worker(["high", "low"], connection="redis://localhost:6379/0")  # doctest: +SKIP
        >>> await worker.run(burst=True)  # doctest: +SKIP

    """

    #: For aioq.testing: what it lets this worker do otherwise.
    for_tests: ForTests | None = None

    _opening: Lifespan | None = None
    _service: Service | None = None
    _stops = 0

    @tell_rq_arguments(WORKER_ARGUMENTS)
    def __init__(
        self,
        queues: str | Queue | Sequence[str | Queue] = "default",
        connection: Server | Connection = None,
        *,
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
        lifespan: LifespanFunction | None = None,
        on_startup: Iterable[WorkerHook] = (),
        on_shutdown: Iterable[WorkerHook] = (),
        middleware: Iterable[RunMiddleware] = (),
        exception_handlers: Iterable[ExceptionHandler] | ExceptionHandler = (),
        process_lifespan: ProcessLifespan | None = None,
        imports: str | Sequence[str] = (),
        serializers: str | OwnSerializer | Sequence[str | OwnSerializer] = (),
        webhook_allow_private: bool = False,
        webhook_secrets: Mapping[str, str | Sequence[str]] | None = None,
        log_jobs: bool = False,
    ) -> None:
        listed = _listed(queues)
        self._queues = [each for each in listed if isinstance(each, Queue)]
        self._server = self._queues[0].connection if connection is None and self._queues else connection
        self.queue_names: list[str] = _names_of(listed)
        self.name: str = f"{read_name(name)}.{secrets.token_hex(3)}"
        self.concurrency: int = whole(concurrency, "concurrency", 1)
        self._process_limits = read_process_limits(job_processes, job_process_max_jobs, job_process_max_memory)
        self.job_processes: int = self._process_limits.number
        self._executor = check_executor(executor, "executor") or THREAD
        self._prefix, self._secret, self._log_jobs = prefix, read_secret(secret), log_jobs
        self._allow = read_allow(allow, os.environ.get(ALLOW_VARIABLE))
        self._imports = check_modules(imports)
        self._serializers = [find_serializer(each) for each in _several(serializers)]
        self._user_code = UserCode.read(
            lifespan, on_startup, on_shutdown, middleware, exception_handlers, process_lifespan
        )
        self._webhooks = read_webhook_settings(webhook_allow_private, webhook_secrets)
        self._check_connection()
        self._result_ttl_ms = retention_ms(result_ttl, "result_ttl")
        self._shutdown_timeout = _check_seconds(shutdown_timeout, "shutdown_timeout")
        self._cancel_grace = _check_seconds(cancel_grace, "cancel_grace")

    @property
    def stops(self) -> int:
        """How often a stop was asked for. After the first time running jobs may end, later they go back."""
        return self._stops if self._service is None else self._service.stops

    @property
    def has_claimed_all(self) -> bool:
        """Whether it has claimed `max_jobs` jobs, and ends with them."""
        return self._service is not None and self._service.demand.limits.jobs_left == 0

    def request_stop(self) -> None:
        """Stop claiming and let running jobs end; called again: hand them back at once.

        It holds for the run that is about to begin, too, if it is asked for before.
        """
        if self._service is not None:
            self._service.request_stop()
            return

        self._stops += 1

        if self._opening is not None:
            self._opening.stop()

    @tell_rq_arguments(RUN_ARGUMENTS)
    @coroutine_method
    async def run(
        self,
        *,
        burst: bool = False,
        max_jobs: int | None = None,
        max_idle_time: Duration | None = None,
        signals: bool = False,
        ready: Callable[[], None] | None = None,
    ) -> int:
        """Serve the queues until a stop is asked for.

        Args:
            burst: stop when the queues are empty and no job runs.
            max_jobs: stop after this many jobs.
            max_idle_time: stop after this long without a job.
            signals: let SIGINT and SIGTERM ask for a stop; a second one hurries it.
            ready: called when the worker serves its queues.

        Returns:
            How many jobs were claimed.

        Raises:
            ServerError: the server cannot be reached at the start, or refuses. Later the worker waits for it.
            WorkerError: it runs already, a module of `imports` cannot be imported, or the lifespan fails at its
                start, and nothing was claimed; or a thread that the worker needs has ended again and again, and
                its jobs were given back; or the lifespan fails at its end.

        """
        check_loop()
        keep_enabled()

        if self._opening is not None:
            raise WorkerError(f"worker {self.name} runs already")

        settings = self._settings(burst, max_jobs, max_idle_time, signals=signals)
        import_all(self._imports, NO_OVERRIDES if self.for_tests is None else self.for_tests.overrides)
        schemas = schemas_of(self._imports, all_typed=TYPED in self._serializers)

        return await self._serve(replace(settings, schemas=schemas), ready or _nothing)

    async def _serve(self, settings: WorkerSettings, ready: Callable[[], None]) -> int:
        """Serve the queues on a connection of its own. How many jobs were claimed."""
        # The connection of a Queue is its owner's to close; one that was opened here is not.
        given = isinstance(self._server, Connection)
        source = self._connect()
        connection = source.sibling()
        service: Service | None = None
        self._opening = Lifespan(self._user_code.lifespan, self._user_code.hooks, self, is_stopped=self._stops > 0)

        try:
            async with self._opening as may_begin:
                if may_begin:  # the service is made here, so that runs get a copy of the lifespan's context
                    self._service = service = Service(connection, settings)

                    for _ in range(self._stops):
                        service.request_stop()

                    await service.run(ready)
        finally:
            self._opening = self._service = None
            self._stops = 0

            with CancelScope(shield=True):
                await connection.aclose()

                if not given:
                    await source.aclose()

        log.info("worker %s has ended: %s", self.name, "it ran no job" if service is None else service.tally)

        return 0 if service is None else service.demand.claimed

    def __repr__(self) -> str:
        return f"<Worker {self.name} of {', '.join(self.queue_names)}>"

    def _settings(
        self, burst: bool, max_jobs: int | None, max_idle_time: Duration | None, *, signals: bool
    ) -> WorkerSettings:
        return WorkerSettings(
            name=self.name,
            queues=tuple(self.queue_names),
            concurrency=self.concurrency,
            result_ttl_ms=self._result_ttl_ms,
            shutdown_timeout=self._shutdown_timeout,
            burst=burst,
            max_jobs=None if max_jobs is None else whole(max_jobs, "max_jobs", 1),
            max_idle_time=None if max_idle_time is None else positive_ms(max_idle_time, "max_idle_time") / 1000,
            signals=signals,
            allow=self._allow,
            job_processes=self._process_limits,
            cancel_grace=self._cancel_grace,
            log_jobs=self._log_jobs,
            executor=self._executor,
            user_code=self._user_code,
            webhooks=self._webhooks,
            for_tests=self.for_tests,
        )

    def _check_connection(self) -> None:
        """Say at once what cannot be used. Nothing is connected."""
        if isinstance(self._server, Connection):
            self._connect()
        elif self._server is not None:
            check_server(self._server)

    def _connect(self) -> Connection:
        """The connection that is shared, or one that is opened for this worker.

        Raises:
            InvalidInput: not all queues are there, or the prefix or the secret is another one.

        """
        source = connect(self._server, prefix=self._prefix, secret=self._secret)

        for queue in self._queues:
            if queue.connection.identity != source.identity:
                raise InvalidInput(
                    f"queues: queue {queue.name!r} is on another server, or has another prefix or secret, than the"
                    f" worker. A worker serves one server with one prefix and one secret: start one for each"
                )

        return source


def _nothing() -> None:
    pass


def _listed(queues: object) -> list[str | Queue]:
    if isinstance(queues, str | Queue):
        return [queues]

    if not isinstance(queues, Iterable) or isinstance(queues, bytes):
        raise InvalidInput(f"queues={queues!r}: expected a Queue, the name of a queue, or several of them")

    return list(queues)


def _several(serializers: str | OwnSerializer | Sequence[str | OwnSerializer]) -> Sequence[str | OwnSerializer]:
    return serializers if isinstance(serializers, list | tuple) else [serializers]  # type: ignore[list-item]


def _names_of(queues: Sequence[str | Queue]) -> list[str]:
    """The names of queues, each once."""
    names = [check_queue_name(each.name if isinstance(each, Queue) else each) for each in queues]

    if not names:
        raise InvalidInput("queues=[]: expected at least one queue")

    return list(dict.fromkeys(names))


def _check_seconds(value: Duration, name: str) -> float:
    if (ms := to_ms(value, name)) < 0:
        raise InvalidInput(f"{name}={value!r}: expected a duration of at least 0 seconds")

    return ms / 1000
