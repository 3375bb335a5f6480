"""Queue: where an application puts its jobs, and looks after them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from types import TracebackType
from typing import Any, NoReturn, ParamSpec, Self, TypeVar, Unpack, cast, overload
from weakref import WeakSet

from aioq.client.call import arguments, refuse_meant_options
from aioq.client.job import Job
from aioq.client.plain import awaited
from aioq.client.producer import EnqueueData, Producer, due_at, due_in
from aioq.client.registry import Registry
from aioq.client.requeue import CHUNK, requeue
from aioq.client.using import BoundTask, Using
from aioq.store import Connection, Directory, Server, Store, connect
from aioq.values.cause import read_exceptions
from aioq.values.durability import Level
from aioq.values.durations import Duration, positive_ms
from aioq.values.errors import InvalidInput
from aioq.values.ids import check_queue_name
from aioq.values.numbers import whole
from aioq.values.option_names import suspects
from aioq.values.options import (
    MAX_PAYLOAD,
    NO_OPTIONS,
    OPTION_NAMES,
    Executor,
    JobOptions,
    Options,
    check_executor,
    read_options,
)
from aioq.values.retry import Retry
from aioq.values.rq_names import (
    ENQUEUE_MANY_ARGUMENTS,
    LIST_ARGUMENTS,
    QUEUE,
    QUEUE_ARGUMENTS,
    tell_rq_arguments,
    tell_rq_names,
)
from aioq.values.serializer import Serializer, find_serializer
from aioq.values.signature import Secret
from aioq.values.states import JobStatus

P = ParamSpec("P")
R = TypeVar("R")


@tell_rq_names(QUEUE)
class Queue:
    """A queue of jobs on one server. Methods that ask the server are awaited.

    Args:
        name: letters, digits and _ . : @ / + - (default "default").
        connection: a URL (docs/servers.md has all kinds), a redis.asyncio.Redis or RedisCluster that the caller
            owns, or a Connection that is shared. None: the first of AIOQ_REDIS_URL, RQ_REDIS_URL and REDIS_URL
            that is set, else REDIS_HOST and its like, else redis://localhost:6379/0.
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
        serializer: str | Serializer = "pickle",
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
    ) -> None:
        self.name = check_queue_name(name)
        self.connection = connect(connection, prefix=prefix, secret=secret, call_timeout=call_timeout)
        self.store = Store(self.connection, name, read_exceptions(exceptions))
        self.store.opened_by = self
        self._share = None if isinstance(connection, Connection) else _Share(self.connection, self)
        defaults = read_options(
            {
                "job_timeout": default_timeout,
                "result_ttl": default_result_ttl,
                "ttl": default_ttl,
                "failure_ttl": default_failure_ttl,
                "retry": default_retry,
                "durability": default_durability,
            }
        )

        if default_executor is not None:
            place = check_executor(default_executor, "default_executor")
            defaults = JobOptions(default_executor=place).over(defaults)

        self._producer = Producer(
            self.store,
            defaults,
            find_serializer(serializer),
            whole(max_payload, "max_payload", 1),
            positive_ms(durability_timeout, "durability_timeout") / 1000,
        )

    @classmethod
    def of(cls, store: Store) -> Queue:
        """A queue with the store and the connection of a worker. For the worker's jobs."""
        queue = cls(store.queue, store.connection)
        queue.store = queue._producer.store = store
        store.opened_by = queue

        return queue

    @classmethod
    @awaited
    async def all(
        cls,
        connection: Server | Connection = None,
        *,
        serializer: str | Serializer = "pickle",
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

        share = _Share(shared)

        try:
            queues = [cls(name, shared, serializer=serializer) for name in await Directory(shared).queues()]
            share.users.update(queues)
        finally:
            if not share.users:
                await shared.aclose()

        for queue in queues:
            queue._share = share  # noqa: SLF001 - of the same class

        return queues

    # Enqueue

    @awaited
    async def enqueue(self, func: Callable[..., Any] | str, /, *args: Any, **kwargs: Any) -> Job[Any]:
        """Put a call into the queue.

        Option names (job_timeout, result_ttl, ttl, failure_ttl, description, job_id, at_front, meta, retry,
        durability, executor) are taken out of kwargs; the rest goes to the function. `args=` and `kwargs=` pass a
        function's arguments explicitly, for one whose own names are those of options. `using` is the typed form.

        Raises:
            InvalidInput: the function, an argument or an option cannot be used. Nothing was written.
            DuplicateJobError: a job with this job_id has not ended.
            NotDurable: the job is in the queue, but not as durable as `durability` asks for.
            ServerUnsuitable: the server cannot do what `durability` asks for. Nothing was written.
            ServerError: the server cannot be reached, or refuses.

        Example:
            >>> job = await queue.enqueue(count_words_at_url, "http://nvie.com", ttl=43)  # doctest: +SKIP

        """
        options, producer = NO_OPTIONS, self._producer

        if kwargs:
            args, kwargs, options = _split(func, args, kwargs)

        return await producer.enqueue(producer.prepare(func, args, kwargs, options))

    @awaited
    async def enqueue_call(
        self,
        func: Callable[..., Any] | str,
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
        *,
        timeout: Duration | None = None,  # noqa: ASYNC109 - RQ's name, and not a timeout of this call
        **options: Unpack[Options],
    ) -> Job[Any]:
        """As `enqueue`, with the function's arguments apart from the options.

        `timeout` is another name for job_timeout here, as in RQ.
        """
        if timeout is not None:
            options["job_timeout"] = timeout

        return await self.using(**options).enqueue_call(func, args, kwargs)

    @awaited
    async def enqueue_at(
        self, moment: datetime, func: Callable[..., Any] | str, /, *args: Any, **kwargs: Any
    ) -> Job[Any]:
        """Put a call into the queue when a moment has come. A naive datetime is in this machine's time zone."""
        call = self._producer.prepare(func, *_split(func, args, kwargs))

        return await self._producer.enqueue(call, due_at(moment))

    @awaited
    async def enqueue_in(
        self, delay: Duration, func: Callable[..., Any] | str, /, *args: Any, **kwargs: Any
    ) -> Job[Any]:
        """Put a call into the queue after a while, counted by the server's clock."""
        call = self._producer.prepare(func, *_split(func, args, kwargs))

        return await self._producer.enqueue(call, due_in(delay))

    @tell_rq_arguments(ENQUEUE_MANY_ARGUMENTS)
    @awaited
    async def enqueue_many(self, calls: Iterable[EnqueueData]) -> list[Job[Any]]:
        """Put many calls into the queue: all are checked first, then sent in chunks, in their order.

        Raises:
            InvalidInput: one of the calls cannot be used. Nothing was written.
            DuplicateJobError: ids of live jobs; the other calls were enqueued.
            NotDurable: jobs that are in the queue, but not as durable as `durability` asks for.

        Example:
            >>> await queue.enqueue_many([Queue.prepare_data(send, (name,)) for name in names])  # doctest: +SKIP

        """
        return await self._producer.enqueue_many(calls)

    @staticmethod
    def prepare_data(
        func: Callable[..., Any] | str,
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
        **options: Unpack[Options],
    ) -> EnqueueData:
        """One call for `enqueue_many`."""
        return EnqueueData(func, *arguments(args, kwargs), read_options(options))

    @awaited
    async def enqueue_job(self, job: Job[Any], *, at_front: bool = False) -> Job[Any]:
        """Put a job that `Job.create` made into this queue; its meta may have been changed since.

        Returns:
            The same job, which is now this queue's.

        Raises:
            InvalidJobOperation: it was enqueued already.

        """
        return await self.using().enqueue_job(job, at_front=at_front)

    def using(self, **options: Unpack[Options]) -> Using:
        """The typed form: options here, and a type checker sees the function's own arguments in the call.

        Example:
            >>> job = await queue.using(ttl=43, retry=Retry(3)).enqueue(send, "you")  # doctest: +SKIP

        """
        return Using(self._producer, read_options(options))

    @overload
    def task(self, function: Callable[P, R], /) -> BoundTask[P, R]: ...

    @overload
    def task(
        self, function: None = None, /, **options: Unpack[Options]
    ) -> Callable[[Callable[P, R]], BoundTask[P, R]]: ...

    def task(
        self, function: Callable[P, R] | None = None, /, **options: Unpack[Options]
    ) -> BoundTask[P, R] | Callable[[Callable[P, R]], BoundTask[P, R]]:
        """As `aioq.task`, for functions that belong to this queue: they get `.enqueue(…)`."""
        checked = read_options(options)

        if function is not None:
            return BoundTask(function, checked, self._producer)

        return lambda decorated: BoundTask(decorated, checked, self._producer)

    # Look

    @awaited
    async def count(self) -> int:
        """How many jobs wait to be claimed; expired, scheduled and started ones are not among them."""
        return (await self.store.reads.count()).queued

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
        """As `job_ids`, with snapshots. Each one has all that is stored of the job, also the arguments."""
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

    @property
    def scheduled_job_registry(self) -> Registry:
        """The jobs that wait for their moment or for their next attempt, by when they are due."""
        return self._registry(JobStatus.SCHEDULED)

    @property
    def started_job_registry(self) -> Registry:
        """The jobs that a worker runs."""
        return self._registry(JobStatus.STARTED)

    @property
    def finished_job_registry(self) -> Registry:
        """The jobs whose function has returned; they are kept for their `result_ttl`."""
        return self._registry(JobStatus.FINISHED)

    @property
    def failed_job_registry(self) -> Registry:
        """The jobs that have raised, with no attempt left; they are kept for their `failure_ttl`."""
        return self._registry(JobStatus.FAILED)

    @property
    def canceled_job_registry(self) -> Registry:
        """The jobs that were canceled; they are kept for a day."""
        return self._registry(JobStatus.CANCELED)

    @property
    def stopped_job_registry(self) -> Registry:
        """The jobs whose run was stopped; they are kept for their `failure_ttl`."""
        return self._registry(JobStatus.STOPPED)

    @property
    def expired_job_registry(self) -> Registry:
        """The jobs that waited for longer than their `ttl`; they are kept for an hour."""
        return self._registry(JobStatus.EXPIRED)

    # Change

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
        return await self._delete_all(JobStatus.QUEUED)

    @awaited
    async def delete(self) -> int:
        """Delete the queue and all its jobs, in every state, and end its pause; how many jobs there were."""
        removed = sum([await self._delete_all(state) for state in JobStatus])
        await self.store.changes.resume()
        # The last worker that leaves takes empty lanes along. If there is none, it is done in the name of nobody.
        await self.store.duty.leave("")
        await self.store.producing.unregister()

        return removed

    @awaited
    async def pause(self, duration: Duration | None = None) -> None:
        """Let no worker claim from the queue until `resume` (or for a duration). Runs in progress go on."""
        await self.store.changes.pause(None if duration is None else positive_ms(duration, "duration"))

    @awaited
    async def resume(self) -> None:
        """End a pause."""
        await self.store.changes.resume()

    @awaited
    async def is_paused(self) -> bool:
        """Whether workers claim nothing from this queue, by `pause` or by `aioq suspend`."""
        return await self.store.reads.is_paused()

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

    # Internals

    def _registry(self, status: JobStatus) -> Registry:
        return Registry(self.store, status)

    async def _delete_all(self, state: JobStatus) -> int:
        removed, before = 0, -1

        while removed > before:  # again, for what has come meanwhile where the listing had been already
            before = removed

            async for ids in self.store.reads.listing(state, size=CHUNK):
                removed += await self.store.changes.delete(ids, state)

        return removed


class _Share:
    """A connection that queues have opened: the last one that is closed closes it.

    Args:
        connection: it.
        users: the queues.

    """

    def __init__(self, connection: Connection, *users: Queue) -> None:
        self._connection = connection
        self.users = WeakSet(users)

    async def leave(self, user: Queue) -> None:
        self.users.discard(user)

        if not self.users:
            await self._connection.aclose()


def _split(
    func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> tuple[tuple[Any, ...], dict[str, Any], JobOptions]:
    """The function's arguments and the options, out of RQ's mixed form."""
    if not kwargs:
        return args, kwargs, NO_OPTIONS

    given = {name: kwargs.pop(name) for name in OPTION_NAMES.intersection(kwargs)}

    if "args" in kwargs or "kwargs" in kwargs:
        # What stands beside them can only be meant as an option.
        given |= {name: kwargs.pop(name) for name in suspects(tuple(kwargs), OPTION_NAMES)}

        if args or kwargs.keys() - {"args", "kwargs"}:
            raise InvalidInput(
                "args= and kwargs= pass all arguments of the function; none can be given beside them"
            )

        args, kwargs = arguments(kwargs.get("args"), kwargs.get("kwargs"))
    elif kwargs and (names := suspects(tuple(kwargs), OPTION_NAMES)):
        refuse_meant_options(func, names, kwargs)

    return args, kwargs, read_options(cast("Options", given))
