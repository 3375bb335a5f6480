"""Queue: where an application puts its jobs, and looks after them."""

from __future__ import annotations

from collections.abc import Iterable
from types import TracebackType
from typing import Any, NoReturn, Self, overload

from aioq.client.audit import Audited
from aioq.client.bulk import delete_all, requeue
from aioq.client.enqueuing import Enqueuing
from aioq.client.holding import Holding
from aioq.client.job import Job
from aioq.client.middleware import EnqueueMiddleware
from aioq.client.plain import awaited
from aioq.client.producer import Producer
from aioq.client.registries import Registries
from aioq.client.searching import Searches
from aioq.client.share import Share
from aioq.client.statistics import Statistics
from aioq.store import CALLBACKS, Connection, Directory, Server, Store, connect
from aioq.store.acting import act_of
from aioq.values.cause import read_exceptions
from aioq.values.durability import Level
from aioq.values.durations import Duration, positive_ms
from aioq.values.ids import check_queue_name
from aioq.values.middleware import check_middleware
from aioq.values.numbers import whole
from aioq.values.options import MAX_PAYLOAD, Executor, read_defaults
from aioq.values.retry import Retry
from aioq.values.rq_names import LIST_ARGUMENTS, QUEUE, QUEUE_ARGUMENTS, tell_rq_arguments, tell_rq_names
from aioq.values.serializer import OwnSerializer, find_serializer
from aioq.values.signature import Secret
from aioq.values.states import JobStatus


@tell_rq_names(QUEUE)
class Queue(Enqueuing, Registries, Holding, Statistics, Searches, Audited):
    """A queue of jobs on one server. Methods that ask the server are awaited.

    Args:
        name: letters, digits and _ . : @ / + - (default "default").
        connection: a URL (docs/servers.md has all kinds), a redis.asyncio.Redis or RedisCluster that the caller
            owns, or a Connection that is shared. None: the first of AIOQ_REDIS_URL, RQ_REDIS_URL and REDIS_URL
            that is set, else REDIS_HOST and its like, else redis://localhost:6379/0.
        serializer: for arguments, results and meta: "pickle" (default), "json", "typed" (JSON by the annotations
            of the functions; needs the extra `typed`), one of your own, or its place, such as "shop.codec:Codec".
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
        middleware: coroutine functions that each `enqueue…` of this queue goes through, the outermost first: each
            gets the calls and `call_next`, and gives the jobs that `await call_next(calls)` brings.

    Raises:
        InvalidInput: a value cannot be used; nothing is connected yet.

    Example:
        >>> async with Queue("mail", connection="redis://localhost:6379/0") as queue:  # doctest: +SKIP
        ...     job = await queue.enqueue(send, "you@example.org", ttl=60)
        ...     print(await job.result(timeout=10))

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
        self.name: str = check_queue_name(name)
        self.connection: Connection = connect(connection, prefix=prefix, secret=secret, call_timeout=call_timeout)
        self.store: Store = Store(self.connection, name, read_exceptions(exceptions))
        self.store.opened_by = self
        self._share = None if isinstance(connection, Connection) else Share(self.connection, self)
        defaults = read_defaults(
            default_executor,
            job_timeout=default_timeout,
            result_ttl=default_result_ttl,
            ttl=default_ttl,
            failure_ttl=default_failure_ttl,
            retry=default_retry,
            durability=default_durability,
        )
        self._producer = Producer(
            self.store,
            defaults,
            find_serializer(serializer),
            whole(max_payload, "max_payload", 1),
            positive_ms(durability_timeout, "durability_timeout") / 1000,
            check_middleware(middleware, "calls"),
        )

    @classmethod
    def of(cls, store: Store) -> Queue:
        """A queue with the store and the connection of a worker. For the worker's jobs."""
        queue = cls(store.queue, store.connection)
        queue.redirect(store)

        return queue

    def redirect(self, store: Store) -> Store:
        """Use another store from now on; the one so far. For workers and tests."""
        before, self.store, self.connection = self.store, store, store.connection
        store.opened_by, self._producer.store = self, store

        return before

    @classmethod
    @awaited
    async def all(
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
            >>> for queue in await Queue.all("redis://localhost:6379/0"):  # doctest: +SKIP
            ...     async with queue:
            ...         print(queue.name, await queue.count())

        """
        shared = connect(connection, prefix=prefix, secret=secret, call_timeout=call_timeout)

        if isinstance(connection, Connection):
            return [cls(name, shared, serializer=serializer) for name in await Directory(shared).queues()]

        share = Share(shared)

        try:
            queues = [cls(name, shared, serializer=serializer) for name in await Directory(shared).queues()]
            share.users.update(queues)
        finally:
            if not share.users:
                await shared.aclose()

        for queue in queues:
            queue._share = share  # noqa: SLF001 - of the same class

        return queues

    # Reads

    @awaited
    async def count(self) -> int:
        """How many jobs wait to be claimed; expired, scheduled and started ones are not among them."""
        return (await self.store.reads.count()).queued

    @awaited
    async def callback_ids(self, offset: int = 0, limit: int | None = None) -> list[str]:
        """The ids of the callbacks that wait or run, the oldest first. No other list and no count has these.

        Args:
            offset: so many are passed over (default 0).
            limit: the most ids (default None: all).

        Raises:
            InvalidInput: offset or limit is no whole number, or out of range.

        """
        most = None if limit is None else whole(limit, "limit")

        return (await self.store.reads.ids(CALLBACKS, whole(offset, "offset"), most))[0]

    @awaited
    async def is_empty(self) -> bool:
        """Whether no job waits to be claimed."""
        return await self.count() == 0

    @tell_rq_arguments(LIST_ARGUMENTS)
    @awaited
    async def job_ids(self, offset: int = 0, limit: int | None = None, *, desc: bool = False) -> list[str]:
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
        return await self._registry(JobStatus.QUEUED).job_ids(offset, limit, desc=desc)

    @tell_rq_arguments(LIST_ARGUMENTS)
    @awaited
    async def jobs(self, offset: int = 0, limit: int | None = None, *, desc: bool = False) -> list[Job[Any]]:
        """As `job_ids`, with snapshots. Each one has everything that is stored of the job, also the arguments."""
        return await self._registry(JobStatus.QUEUED).jobs(offset, limit, desc=desc)

    @awaited
    async def fetch_job(self, job_id: Job[Any] | str) -> Job[Any] | None:
        """The job with this id, or a new snapshot of a job; None if the queue has none."""
        (job,) = await self.fetch_many([job_id])

        return job

    @awaited
    async def fetch_many(self, job_ids: Iterable[Job[Any] | str]) -> list[Job[Any] | None]:
        """The jobs with these ids, in order; None for each that the queue does not have."""
        return await Job.fetch_many(job_ids, self)

    @awaited
    async def schemas(self) -> dict[str, Any]:
        """The JSON schemas of typed tasks, by dotted name, as the workers that serve this queue tell them.

        Each has "arguments" (a schema for each parameter), "required" (names of parameters) and "result"; "more"
        and "more_named" are those of further arguments, if the function takes any.
        """
        return await Directory(self.connection).schemas(self.name)

    # Changes

    @overload
    async def requeue(  # type: ignore[overload-overlap]  # one id is a list of ids, too
        self, jobs: Job[Any] | str, *, at_front: bool = False, reset_retries: bool = True
    ) -> Job[Any]: ...

    @overload
    async def requeue(
        self, jobs: Iterable[Job[Any] | str], *, at_front: bool = False, reset_retries: bool = True
    ) -> dict[str, str]: ...

    @awaited
    async def requeue(
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
            >>> await queue.requeue("a1b2")  # doctest: +SKIP
            >>> await queue.requeue(["a1b2", "c3d4"])  # doctest: +SKIP
            {'a1b2': 'ok', 'c3d4': 'gone'}

        """
        return await requeue(self.store, jobs, at_front=at_front, reset=reset_retries)

    @awaited
    async def empty(self) -> int:
        """Delete the jobs that wait to be claimed; how many there were. Jobs in other states stay."""
        return await delete_all(self.store, JobStatus.QUEUED, act_of("empty"))

    @awaited
    async def delete(self) -> int:
        """Delete the queue with its groups, pause, retry budget, statistics, audit and jobs; how many jobs."""
        await self.store.groups.delete(*await self.store.groups.names())
        removed = sum([await delete_all(self.store, state) for state in JobStatus])
        await delete_all(self.store, CALLBACKS)
        await self.store.changes.resume()
        await self.store.changes.set_retry_budget(None)
        await self.store.failures.forget()
        # The last worker that leaves takes empty lanes along. If there is none, it is done in the name of nobody.
        await self.store.duty.leave("")
        await self.store.statistics.forget()
        await self.store.audit.forget()
        await self.store.producing.unregister()

        return removed

    async def aclose(self) -> None:
        """Close what this queue opened; a connection that was passed in stays open."""
        if self._share is not None:
            await self._share.leave(self)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Queue):
            return NotImplemented

        return (self.store.keys, self.connection.place) == (other.store.keys, other.connection.place)

    def __hash__(self) -> int:
        return hash(self.store.keys.main)

    def __reduce__(self) -> NoReturn:
        raise TypeError(
            f"{self!r} is a handle with a connection to the server, and is not pickled. Pass its name, and open a"
            " Queue where it is used"
        )

    def __repr__(self) -> str:
        return f"<Queue {self.name}>"
