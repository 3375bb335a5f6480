"""Queue: where an application without an event loop puts its jobs, and looks after them."""

from __future__ import annotations

from collections.abc import Iterable
from types import TracebackType
from typing import Any, NoReturn, Self, overload

from aioq.client import bulk
from aioq.client.middleware import EnqueueMiddleware
from aioq.client.queue import Queue as AsyncQueue
from aioq.client.registry import Registry as AsyncRegistry
from aioq.store import Connection, Server
from aioq.sync.audit import Audited
from aioq.sync.calling import run
from aioq.sync.enqueuing import Enqueuing
from aioq.sync.group import use_queues
from aioq.sync.holding import Holding
from aioq.sync.job import Job, bare_given
from aioq.sync.names import plain
from aioq.sync.registry import Registry
from aioq.sync.searching import Searches
from aioq.sync.statistics import Statistics
from aioq.values.durability import Level
from aioq.values.durations import Duration
from aioq.values.options import MAX_PAYLOAD, Executor
from aioq.values.retry import Retry
from aioq.values.rq_names import LIST_ARGUMENTS, QUEUE, QUEUE_ARGUMENTS, tell_rq_arguments, tell_rq_names
from aioq.values.serializer import OwnSerializer
from aioq.values.signature import Secret


@tell_rq_names(plain(QUEUE))
class Queue(Enqueuing, Holding, Statistics, Searches, Audited):
    """A queue of jobs on one server, for code without an event loop.

    It is what aioq.Queue is, with the same arguments and plain calls. Any number of threads may use one, and a
    forked process may use that of its parent.

    Args:
        name: letters, digits and _ . : @ / + - (default "default").
        connection: a URL (docs/servers.md has all kinds), a redis.asyncio.Redis or RedisCluster whose options are
            used, or the `connection` of another queue. None: the first of AIOQ_REDIS_URL, RQ_REDIS_URL and
            REDIS_URL that is set, else REDIS_HOST and its like, else redis://localhost:6379/0.
        serializer: "pickle" (default) or "json", for arguments, results and meta.
        default_timeout, default_result_ttl, default_ttl, default_failure_ttl, default_retry, default_durability:
            options of jobs that do not give their own.
        default_executor: "thread" or "process", for plain functions whose job or task does not say. A coroutine
            function runs on the event loop all the same. None: as the worker has it.
        durability_timeout: how long `enqueue` waits for the durability that was asked for (default 5 s).
        max_payload: the most bytes of arguments and meta of one job (default 1 MiB).
        prefix: the first word of every key. None: that of a Connection that is shared, else AIOQ_PREFIX, else
            "aioq".
        secret: signs what is stored, and nothing is read that is not signed; several: the first one signs, all of
            them verify. None: AIOQ_SECRET. A Connection that is shared brings its own.
        call_timeout: how long a call to the server may cost, over all its attempts, while no byte moves; then it
            raises ServerUnreachable. None: the `socket_timeout` of the URL or client, if it has one of its own,
            else 15 s. A Connection that is shared brings its own.
        exceptions: classes of which `Job.result()` builds the `__cause__` of a JobFailed (default: none). Only
            these are called, with what the server holds of the arguments, so list those that only keep them.
        middleware: as for aioq.Queue: coroutine functions, which run on the event loop of these calls.

    Raises:
        InvalidInput: a value cannot be used; nothing is connected yet.

    Example:
        >>> with Queue("mail", connection="redis://localhost:6379/0") as queue:  # doctest: +SKIP
        ...     job = queue.enqueue(send, "you@example.org", ttl=60)
        ...     print(job.result(timeout=10))

    """

    @tell_rq_arguments(QUEUE_ARGUMENTS)
    def __init__(
        self,
        name: str = "default",
        connection: Server | Connection = None,
        *,
        serializer: str | OwnSerializer = "pickle",
        default_timeout: Duration | None = None,
        default_result_ttl: Duration | None = None,
        default_ttl: Duration | None = None,
        default_failure_ttl: Duration | None = None,
        default_retry: Retry | int | None = None,
        default_durability: Level | None = None,
        default_executor: Executor | None = None,
        durability_timeout: Duration = 5,
        max_payload: int = MAX_PAYLOAD,
        prefix: str | None = None,
        secret: Secret = None,
        call_timeout: Duration | None = None,
        exceptions: Iterable[type[BaseException]] = (),
        middleware: Iterable[EnqueueMiddleware] = (),
    ) -> None:
        self._use(
            AsyncQueue(
                name,
                connection,
                serializer=serializer,
                default_timeout=default_timeout,
                default_result_ttl=default_result_ttl,
                default_ttl=default_ttl,
                default_failure_ttl=default_failure_ttl,
                default_retry=default_retry,
                default_durability=default_durability,
                default_executor=default_executor,
                durability_timeout=durability_timeout,
                max_payload=max_payload,
                prefix=prefix,
                secret=secret,
                call_timeout=call_timeout,
                exceptions=exceptions,
                middleware=middleware,
            )
        )

    def _use(self, queue: AsyncQueue) -> None:
        self._queue = queue
        self.name = queue.name
        self.connection = queue.connection
        self.store = queue.store

    @classmethod
    def of(cls, queue: AsyncQueue) -> Queue:
        """The plain form of a queue: its options and its connection. For the jobs of a worker, and for `all`."""
        made = cls.__new__(cls)
        made._use(queue)  # noqa: SLF001 - of the same class

        return made

    @classmethod
    def all(
        cls,
        connection: Server | Connection = None,
        *,
        serializer: str | OwnSerializer = "pickle",
        prefix: str | None = None,
        secret: Secret = None,
        call_timeout: Duration | None = None,
    ) -> list[Queue]:
        """All queues of a server, by name. They share one connection; the last one that is closed closes it.

        Args:
            connection: as for Queue. A Connection that is passed in stays open.
            serializer: as for Queue.
            prefix: as for Queue.
            secret: as for Queue.
            call_timeout: as for Queue.

        Example:
            >>> for queue in Queue.all("redis://localhost:6379/0"):  # doctest: +SKIP
            ...     with queue:
            ...         print(queue.name, queue.count())

        """
        found = run(
            AsyncQueue.all,
            connection,
            serializer=serializer,
            prefix=prefix,
            secret=secret,
            call_timeout=call_timeout,
        )

        return [cls.of(queue) for queue in found]

    # Reads

    def count(self) -> int:
        """How many jobs wait to be claimed; expired, scheduled and started ones are not among them."""
        return run(self._queue.count)

    def schemas(self) -> dict[str, Any]:
        """The JSON schemas of typed tasks, by dotted name, as the workers that serve this queue tell them.

        Each has "arguments" (a schema for each parameter), "required" (names of parameters) and "result"; "more"
        and "more_named" are those of further arguments, if the function takes any.
        """
        return run(self._queue.schemas)

    def callback_ids(self, offset: int = 0, limit: int | None = None) -> list[str]:
        """The ids of the callbacks that wait or run, the oldest first. No other list and no count has these.

        Args:
            offset: so many are passed over (default 0).
            limit: the most ids (default None: all).

        Raises:
            InvalidInput: offset or limit is no whole number, or out of range.

        """
        return run(self._queue.callback_ids, offset, limit)

    def is_empty(self) -> bool:
        """Whether no job waits to be claimed."""
        return run(self._queue.is_empty)

    @tell_rq_arguments(LIST_ARGUMENTS)
    def job_ids(self, offset: int = 0, limit: int | None = None, *, desc: bool = False) -> list[str]:
        """The ids of the jobs that wait, in the order in which they will be claimed.

        They are read in pages of 500, so others get to the server meanwhile. A job that waits all the time is
        given exactly once. One that comes or is claimed meanwhile is given or not.

        Args:
            offset: so many jobs are passed over (default 0). That takes as long as to list them.
            limit: the most ids (default None: all; so does -1).
            desc: the last one to be claimed first (default False: the next one).

        Raises:
            InvalidInput: offset or limit is no whole number, or out of range.

        """
        return run(self._queue.job_ids, offset, limit, desc=desc)

    @tell_rq_arguments(LIST_ARGUMENTS)
    def jobs(self, offset: int = 0, limit: int | None = None, *, desc: bool = False) -> list[Job[Any]]:
        """As `job_ids`, with snapshots. Each one has everything that is stored of the job, also the arguments."""
        return [Job(job, self) for job in run(self._queue.jobs, offset, limit, desc=desc)]

    def fetch_job(self, job_id: Job[Any] | str) -> Job[Any] | None:
        """The job with this id, or a new snapshot of a job; None if the queue has none."""
        (job,) = self.fetch_many([job_id])

        return job

    def fetch_many(self, job_ids: Iterable[Job[Any] | str]) -> list[Job[Any] | None]:
        """The jobs with these ids, in order; None for each that the queue does not have."""
        return Job.fetch_many(job_ids, self)

    @property
    def scheduled_job_registry(self) -> Registry:
        """The jobs that wait for their moment or for their next attempt, by when they are due."""
        return self._registry(self._queue.scheduled_job_registry)

    @property
    def deferred_job_registry(self) -> Registry:
        """The jobs that wait for the ends of those that they depend on, in the order in which they came."""
        return self._registry(self._queue.deferred_job_registry)

    @property
    def started_job_registry(self) -> Registry:
        """The jobs that a worker runs."""
        return self._registry(self._queue.started_job_registry)

    @property
    def finished_job_registry(self) -> Registry:
        """The jobs whose function has returned; they are kept for their `result_ttl`."""
        return self._registry(self._queue.finished_job_registry)

    @property
    def failed_job_registry(self) -> Registry:
        """The jobs that have raised, with no attempt left; they are kept for their `failure_ttl`."""
        return self._registry(self._queue.failed_job_registry)

    @property
    def canceled_job_registry(self) -> Registry:
        """The jobs that were canceled; they are kept for a day."""
        return self._registry(self._queue.canceled_job_registry)

    @property
    def stopped_job_registry(self) -> Registry:
        """The jobs whose run was stopped; they are kept for their `failure_ttl`."""
        return self._registry(self._queue.stopped_job_registry)

    @property
    def expired_job_registry(self) -> Registry:
        """The jobs that waited for longer than their `ttl`; they are kept for an hour."""
        return self._registry(self._queue.expired_job_registry)

    # Changes

    @overload
    def requeue(  # type: ignore[overload-overlap]  # one id is a list of ids, too
        self, jobs: Job[Any] | str, *, at_front: bool = False, reset_retries: bool = True
    ) -> Job[Any]: ...

    @overload
    def requeue(
        self, jobs: Iterable[Job[Any] | str], *, at_front: bool = False, reset_retries: bool = True
    ) -> dict[str, str]: ...

    def requeue(
        self,
        jobs: Job[Any] | str | Iterable[Job[Any] | str],
        *,
        at_front: bool = False,
        reset_retries: bool = True,
    ) -> Job[Any] | dict[str, str]:
        """Bring jobs back that ended without a result. `Registry.requeue` does so for jobs of one state only.

        Args:
            jobs: a job or its id; or several, of which a bad one does not stop the others.
            at_front: put them at the front (default False).
            reset_retries: count their attempts and deliveries anew (default True).

        Returns:
            A new snapshot of the one job; for several what has become of each id, in order: "ok", "gone" (no such
            job), or the state that does not allow it.

        Raises:
            InvalidJobOperation: the one job is in a state that does not allow it.
            NoSuchJobError: the queue does not have the one job.

        Example:
            >>> queue.requeue("a1b2")  # doctest: +SKIP
            >>> queue.requeue(["a1b2", "c3d4"])  # doctest: +SKIP
            {'a1b2': 'ok', 'c3d4': 'gone'}

        """
        found = run(bulk.requeue, self.store, bare_given(jobs), at_front=at_front, reset=reset_retries)

        return found if isinstance(found, dict) else Job(found, self)

    def empty(self) -> int:
        """Delete the jobs that wait to be claimed; how many there were. Jobs in other states stay."""
        return run(self._queue.empty)

    def delete(self) -> int:
        """Delete the queue with its groups, pause, retry budget, statistics, audit and jobs; how many jobs."""
        return run(self._queue.delete)

    def close(self) -> None:
        """Close what this queue opened; a connection that was passed in stays open."""
        run(self._queue.aclose)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __eq__(self, other: object) -> bool:
        return self._queue == other._queue if isinstance(other, Queue) else NotImplemented

    def __hash__(self) -> int:
        return hash(self._queue)

    def __reduce__(self) -> NoReturn:
        raise TypeError(
            f"{self!r} is a handle with a connection to the server, and is not pickled. Pass its name, and open a"
            " Queue where it is used"
        )

    def __repr__(self) -> str:
        return f"<aioq.sync.Queue {self.name}>"

    def _registry(self, registry: AsyncRegistry) -> Registry:
        return Registry(registry, self)


use_queues(Queue.of)
