"""Queue: where an application puts its jobs, and looks after them."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Coroutine, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from itertools import islice
from types import TracebackType
from typing import Any, Generic, NamedTuple, NoReturn, ParamSpec, Self, TypeVar, Unpack, cast, overload

from aioq.client.job import Job, ids_of
from aioq.client.plain import awaited
from aioq.client.registry import CHUNK, Registry
from aioq.client.submission import Call, arguments, complete, describe, refuse_meant_options, settle
from aioq.client.task import Task
from aioq.store import Connection, Fleet, Server, Store, connect
from aioq.store.batcher import MAX_BYTES
from aioq.store.per_loop import check_loop
from aioq.store.store import Submission
from aioq.values.cause import read_exceptions
from aioq.values.durability import MEMORY, Level
from aioq.values.durations import Duration, positive_ms, to_ms
from aioq.values.errors import DuplicateJobError, InvalidInput, InvalidJobOperation, NotDurable
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
    check_meta,
    read_options,
)
from aioq.values.retry import Retry
from aioq.values.serializer import Serializer, find_serializer
from aioq.values.signature import Secret
from aioq.values.states import JobStatus

P = ParamSpec("P")
R = TypeVar("R")

#: How many jobs a chunk of one `enqueue_many` has, and how many chunks are on their way at the same time. With
#: smaller chunks the server begins sooner; with larger ones there are fewer calls to make.
BULK = 125
ABREAST = 8

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MS = timedelta(milliseconds=1)


class EnqueueData(NamedTuple):
    """One call for `Queue.enqueue_many`, with checked options."""

    func: Any
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    options: JobOptions


class Queue:
    """A queue of jobs on one server.

    Args:
        name: letters, digits and _ . : @ / + - (default "default").
        connection: a URL (docs/servers.md has all kinds), a redis.asyncio.Redis or RedisCluster that the caller
            owns, or a Connection that is shared. None: the first of AIOQ_REDIS_URL, REDIS_URL and RQ_REDIS_URL
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
        self._owns_connection = not isinstance(connection, Connection)
        self.connection = connect(connection, prefix=prefix, secret=secret, call_timeout=call_timeout)
        self.store = Store(self.connection, name, read_exceptions(exceptions))
        self.store.opened_by = self
        self._serializer = find_serializer(serializer)
        self._max_payload = whole(max_payload, "max_payload", 1)
        self._durability_timeout = positive_ms(durability_timeout, "durability_timeout") / 1000
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
        defaults = replace(defaults, default_executor=check_executor(default_executor, "default_executor"))
        self._defaults = NO_OPTIONS if defaults == NO_OPTIONS else defaults

    @classmethod
    def of(cls, store: Store) -> Queue:
        """A queue with the store and the connection of a worker. For the worker's jobs."""
        queue = cls(store.queue, store.connection)
        queue.store, store.opened_by = store, queue

        return queue

    @classmethod
    @awaited
    async def all(cls, connection: Server | Connection = None, *, prefix: str | None = None) -> list[Queue]:
        """All queues of a server, by name. A Connection they share; with a URL each opens its own when used.

        Args:
            connection: as for Queue.
            prefix: as for Queue.

        """
        if isinstance(connection, Connection):
            shared = connect(connection, prefix=prefix, secret=None)

            return [cls(name, shared) for name in await Fleet(shared).queues()]

        asked = Connection(connection, prefix=prefix)

        try:
            return [cls(name, connection, prefix=prefix) for name in await Fleet(asked).queues()]
        finally:
            await asked.aclose()

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
        options = NO_OPTIONS

        if kwargs:
            args, kwargs, options = _split(func, args, kwargs)

        return await self._enqueue(self._prepare(func, args, kwargs, options))

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

        return await self._enqueue(self._prepare(func, *arguments(args, kwargs), read_options(options)))

    @awaited
    async def enqueue_at(
        self, moment: datetime, func: Callable[..., Any] | str, /, *args: Any, **kwargs: Any
    ) -> Job[Any]:
        """Put a call into the queue when a moment has come. A naive datetime is in this machine's time zone."""
        args, kwargs, options = _split(func, args, kwargs)

        return await self._enqueue(self._prepare(func, args, kwargs, options), due_at(moment))

    @awaited
    async def enqueue_in(
        self, delay: Duration, func: Callable[..., Any] | str, /, *args: Any, **kwargs: Any
    ) -> Job[Any]:
        """Put a call into the queue after a while, counted by the server's clock."""
        args, kwargs, options = _split(func, args, kwargs)

        return await self._enqueue(self._prepare(func, args, kwargs, options), due_in(delay))

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
        check_loop()  # before coroutines are made that nobody could await
        prepared = [self._prepare(*_checked(each)) for each in calls]
        _refuse_twins(prepared)
        chunks = _chunks(prepared)
        jobs: list[Job[Any] | None] = []

        while some := list(islice(chunks, ABREAST)):
            for made in await asyncio.gather(*map(self._enqueue_chunk, some)):
                jobs += made

        return self._accepted(prepared, jobs)

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
        if not isinstance(job, Job):
            raise TypeError(f"job={job!r}: expected what Job.create returns, not {type(job).__name__}")

        if job.call is None:
            raise InvalidJobOperation(
                f"job {job.id} was enqueued already; `job.requeue()` brings an ended one back"
            )

        given = job.call.options
        options = replace(given, meta=check_meta(job.meta), at_front=at_front or given.at_front)
        call = complete(replace(job.call, options=options), self._defaults, self._max_payload)
        job.adopt(await self._enqueue(call, job_id=job.id))

        return job

    def using(self, **options: Unpack[Options]) -> Using:
        """The typed form: options here, and a type checker sees the function's own arguments in the call.

        Example:
            >>> job = await queue.using(ttl=43, retry=Retry(3)).enqueue(send, "you")  # doctest: +SKIP

        """
        return Using(self, read_options(options))

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
            return BoundTask(function, checked, self)

        return lambda decorated: BoundTask(decorated, checked, self)

    # Look

    @awaited
    async def count(self) -> int:
        """How many jobs wait to be claimed; expired, scheduled and started ones are not among them."""
        return (await self.store.count()).queued

    @awaited
    async def is_empty(self) -> bool:
        return await self.count() == 0

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
        return self._registry(JobStatus.SCHEDULED)

    @property
    def started_job_registry(self) -> Registry:
        return self._registry(JobStatus.STARTED)

    @property
    def finished_job_registry(self) -> Registry:
        return self._registry(JobStatus.FINISHED)

    @property
    def failed_job_registry(self) -> Registry:
        return self._registry(JobStatus.FAILED)

    @property
    def canceled_job_registry(self) -> Registry:
        return self._registry(JobStatus.CANCELED)

    @property
    def stopped_job_registry(self) -> Registry:
        return self._registry(JobStatus.STOPPED)

    @property
    def expired_job_registry(self) -> Registry:
        return self._registry(JobStatus.EXPIRED)

    # Change

    @awaited
    async def requeue(
        self, job_ids: Iterable[Job[Any] | str], *, at_front: bool = False, reset_retries: bool = True
    ) -> dict[str, str]:
        """Bring jobs back that ended without a result; a bad id does not stop the others.

        Returns:
            For each id, in order: "ok", "gone" (no such job), or the state that does not allow it.

        """
        ids = list(dict.fromkeys(ids_of(job_ids, self.store)))
        verdicts: list[str] = []

        for start in range(0, len(ids), CHUNK):
            verdicts += await self.store.requeue(
                ids[start : start + CHUNK], at_front=at_front, reset=reset_retries
            )

        return dict(zip(ids, verdicts, strict=True))

    @awaited
    async def empty(self) -> int:
        """Delete the jobs that wait to be claimed; how many there were. Jobs in other states stay."""
        return await self._delete_all(JobStatus.QUEUED)

    @awaited
    async def delete(self) -> int:
        """Delete the queue and all its jobs, in every state, and end its pause; how many jobs there were."""
        removed = sum([await self._delete_all(state) for state in JobStatus])
        await self.store.resume()
        # The last worker that leaves takes empty lanes along. If there is none, it is done in the name of nobody.
        await self.store.leave("")
        await self.store.unregister()

        return removed

    @awaited
    async def pause(self, duration: Duration | None = None) -> None:
        """Let no worker claim from the queue until `resume` (or for a duration). Runs in progress go on."""
        await self.store.pause(None if duration is None else positive_ms(duration, "duration"))

    @awaited
    async def resume(self) -> None:
        """End a pause."""
        await self.store.resume()

    @awaited
    async def is_paused(self) -> bool:
        return await self.store.is_paused()

    async def aclose(self) -> None:
        """Close what this queue opened; a connection that was passed in stays open."""
        if self._owns_connection:
            await self.connection.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Queue):
            return NotImplemented

        return self.store.keys == other.store.keys

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

    def _prepare(self, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any], options: JobOptions) -> Call:
        return complete(describe(func, args, kwargs, options, self._serializer), self._defaults, self._max_payload)

    async def _enqueue(self, call: Call, due: str = "", job_id: str = "") -> Job[Any]:
        submission = settle(call, due, job_id, self.store.signer)

        if submission.durability != "memory":
            (job,) = self._accepted([call], await self._store_durably([submission]))

            return job

        created = await self.store.enqueue(submission)

        if not created:
            raise _duplicate(self.name, submission.record.id)

        return self._job(submission, created)

    async def _enqueue_chunk(self, calls: list[Call]) -> list[Job[Any] | None]:
        """The jobs, None for each duplicate. The server works on one chunk while another is made here."""
        submissions = [settle(call, signer=self.store.signer) for call in calls]

        if submissions[0].durability != "memory":
            return await self._store_durably(submissions)

        return self._jobs(submissions, await self.store.enqueue_many(submissions))

    async def _store_durably(self, submissions: list[Submission]) -> list[Job[Any] | None]:
        level = submissions[0].durability
        answers, reached = await self.store.enqueue_durably(submissions, level, self._durability_timeout)
        jobs = self._jobs(submissions, answers)

        for job in jobs:
            if job is not None:
                job.durability = reached

        return jobs

    def _accepted(self, calls: Sequence[Call], jobs: Sequence[Job[Any] | None]) -> list[Job[Any]]:
        """The jobs, if all of them are new, and have reached the durability that they were to reach."""
        made: list[Job[Any]] = []
        twins: list[str] = []
        short: list[tuple[str, str]] = []

        for call, job in zip(calls, jobs, strict=True):
            level = call.options.durability

            if job is None:
                twins.append(call.options.job_id or "")
                continue

            made.append(job)

            if level is not None and level != "memory" and job.durability == MEMORY:
                short.append((job.id, level))

        error = _duplicate(self.name, *twins) if twins else None

        if short:
            levels = " or ".join(sorted({level for _, level in short}))
            raise NotDurable([job_id for job_id, _ in short], levels, self._durability_timeout) from error

        if error:
            raise error

        return made

    def _jobs(self, submissions: Sequence[Submission], answers: Sequence[int]) -> list[Job[Any] | None]:
        return [self._job(*each) if each[1] else None for each in zip(submissions, answers, strict=True)]

    def _job(self, submission: Submission, created: int) -> Job[Any]:
        record, due, ttl_ms = submission.record, submission.due, submission.ttl_ms
        fields = record.fields  # nobody else has seen them, so what the script has added is added here
        fields[b"status"] = b"scheduled" if due else b"queued"
        fields[b"created_at"] = b"%d" % created

        if due:
            fields[b"due_at"] = b"%d" % (created + int(due[1:]) if due.startswith("+") else int(due))

        if ttl_ms:
            fields[b"ttl"] = b"%d" % ttl_ms

            if not due:
                fields[b"expires_at"] = b"%d" % (created + ttl_ms)

        job: Job[Any] = Job(record, self.store)
        job.durability = MEMORY

        return job

    async def _delete_all(self, state: JobStatus) -> int:
        removed, before = 0, -1

        while removed > before:  # again, for what has come meanwhile where the listing had been already
            before = removed

            async for ids in self.store.listing(state, size=CHUNK):
                removed += await self.store.delete(ids, state)

        return removed


@dataclass(frozen=True, slots=True)
class Using:
    """A queue and options, for typed calls. Made by `Queue.using`."""

    queue: Queue
    options: JobOptions

    @overload
    async def enqueue(
        self, func: Callable[P, Coroutine[Any, Any, R]], /, *args: P.args, **kwargs: P.kwargs
    ) -> Job[R]: ...

    @overload
    async def enqueue(self, func: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> Job[R]: ...

    @awaited
    async def enqueue(self, func: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Job[Any]:
        """Put a call into the queue; all arguments go to the function."""
        return await self._enqueue(func, args, kwargs)

    @overload
    async def enqueue_at(
        self, moment: datetime, func: Callable[P, Coroutine[Any, Any, R]], /, *args: P.args, **kwargs: P.kwargs
    ) -> Job[R]: ...

    @overload
    async def enqueue_at(
        self, moment: datetime, func: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs
    ) -> Job[R]: ...

    @awaited
    async def enqueue_at(
        self, moment: datetime, func: Callable[..., Any], /, *args: Any, **kwargs: Any
    ) -> Job[Any]:
        """As `enqueue`, when a moment has come."""
        return await self._enqueue(func, args, kwargs, due_at(moment))

    @overload
    async def enqueue_in(
        self, delay: Duration, func: Callable[P, Coroutine[Any, Any, R]], /, *args: P.args, **kwargs: P.kwargs
    ) -> Job[R]: ...

    @overload
    async def enqueue_in(
        self, delay: Duration, func: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs
    ) -> Job[R]: ...

    @awaited
    async def enqueue_in(
        self, delay: Duration, func: Callable[..., Any], /, *args: Any, **kwargs: Any
    ) -> Job[Any]:
        """As `enqueue`, after a while."""
        return await self._enqueue(func, args, kwargs, due_in(delay))

    async def _enqueue(self, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any], due: str = "") -> Job[Any]:
        queue = self.queue

        if kwargs and (names := suspects(tuple(kwargs), OPTION_NAMES)):
            refuse_meant_options(func, names, kwargs, apart=True)

        return await queue._enqueue(queue._prepare(func, args, kwargs, self.options), due)  # noqa: SLF001 - one module


class BoundTask(Task[P, R], Generic[P, R]):
    """A task that belongs to a queue. Made by `Queue.task`."""

    def __init__(self, function: Callable[P, R], options: JobOptions, queue: Queue) -> None:
        super().__init__(function, options)
        self.queue = queue

    @awaited
    async def enqueue(self, *args: P.args, **kwargs: P.kwargs) -> Job[Any]:
        """Put a call of the function into the queue."""
        return await Using(self.queue, self.options).enqueue(self.function, *args, **kwargs)

    def using(self, **options: Unpack[Options]) -> Using:
        """Other options for single calls: `await f.using(ttl=5).enqueue(f, …)`."""
        return Using(self.queue, read_options(options).over(self.options))


def due_at(moment: datetime) -> str:
    """A moment as the scripts take it.

    A naive one is read as `datetime.timestamp` does (PEP 495): a moment that the clocks skip is read by the offset
    from before the gap, and `fold` tells which of two is meant when a moment comes twice.
    """
    if not isinstance(moment, datetime):
        raise TypeError(f"moment={moment!r}: expected a datetime, not {type(moment).__name__}")

    if moment.utcoffset() is None:
        try:
            ms = int(moment.replace(microsecond=0).timestamp()) * 1_000 + moment.microsecond // 1_000
        except (ValueError, OverflowError, OSError):  # so near to an end of the calendar that UTC leaves it
            ms = (moment.replace(tzinfo=UTC) - _EPOCH) // _MS
    else:
        ms = (moment - _EPOCH) // _MS

    return str(max(0, ms))


def due_in(delay: Duration) -> str:
    """A delay as the scripts take it."""
    ms = to_ms(delay, "delay")

    if ms < 0:
        raise InvalidInput(f"delay={delay!r}: expected a duration of 0 or more")

    return f"+{ms}"


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


def _checked(call: object) -> EnqueueData:
    if not isinstance(call, EnqueueData):
        raise TypeError(f"calls: expected what Queue.prepare_data returns, not {type(call).__name__}")

    return call


def _refuse_twins(calls: list[Call]) -> None:
    counts = Counter(call.options.job_id for call in calls if call.options is not NO_OPTIONS)
    twins = sorted(job_id for job_id, count in counts.items() if job_id is not None and count > 1)

    if twins:
        raise InvalidInput(f"job_id {', '.join(twins)} stands in this call more than once")


def _chunks(calls: list[Call]) -> Iterator[list[Call]]:
    """The calls in their order, each chunk with one durability."""
    chunk: list[Call] = []
    size = 0

    for each in calls:
        if chunk and each.options.durability != chunk[0].options.durability:
            yield chunk
            chunk, size = [], 0

        chunk.append(each)
        size += each.size

        if len(chunk) == BULK or size >= MAX_BYTES:
            yield chunk
            chunk, size = [], 0

    if chunk:
        yield chunk


def _duplicate(queue: str, *ids: str) -> DuplicateJobError:
    return DuplicateJobError(
        f"queue {queue!r} has a job {', '.join(ids)} that has not ended; wait for its end, cancel it, or choose"
        " another job_id"
    )
