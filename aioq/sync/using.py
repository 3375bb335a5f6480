"""Typed forms of enqueue for code without an event loop."""

from __future__ import annotations

from collections.abc import AsyncIterable, Awaitable, Callable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, Generic, ParamSpec, TypeVar, Unpack, overload

from aioq.client.bound_task import own_calls
from aioq.client.call import Call, arguments
from aioq.client.graph import in_order
from aioq.client.producer import EnqueueData, Producer
from aioq.client.task import Task
from aioq.client.using import Using as AsyncUsing
from aioq.sync.calling import run
from aioq.sync.job import Job
from aioq.sync.names import plain
from aioq.values.durations import Duration
from aioq.values.errors import InvalidType
from aioq.values.moments import due_at, due_in
from aioq.values.options import NO_OPTIONS, JobOptions, Options, read_options
from aioq.values.rq_names import TASK, tell_rq_names

P = ParamSpec("P")
R = TypeVar("R")
R_co = TypeVar("R_co", covariant=True)


class Using:
    """A queue and options, for typed calls. Made by `Queue.using`; all arguments of a call go to its function.

    Example:
        >>> urgent = queue.using(at_front=True, retry=3)  # doctest: +SKIP
        >>> job = urgent.enqueue(send, "you")  # doctest: +SKIP

    """

    def __init__(self, queue: object, producer: Producer, options: JobOptions) -> None:
        self._queue = queue
        self._producer = producer
        self._options = options
        self._prepare = AsyncUsing(producer, options)

    @property
    def queue(self) -> Any:
        """The Queue."""
        return self._queue

    def using(self, **options: Unpack[Options]) -> Using:
        """These options, and others over them."""
        return Using(self._queue, self._producer, read_options(options).over(self._options))

    @overload
    def enqueue(self, func: Callable[P, Awaitable[R]], /, *args: P.args, **kwargs: P.kwargs) -> Job[R]: ...

    @overload
    def enqueue(
        self, func: Callable[P, AsyncIterable[R]], /, *args: P.args, **kwargs: P.kwargs
    ) -> Job[list[R]]: ...

    @overload
    def enqueue(self, func: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> Job[R]: ...

    @overload
    def enqueue(self, func: str, /, *args: Any, **kwargs: Any) -> Job[Any]: ...

    def enqueue(self, func: Callable[..., Any] | str, /, *args: Any, **kwargs: Any) -> Job[Any]:
        """Put a call into the queue. Raises as `Queue.enqueue`."""
        return self._put(self._prepare.prepare(func, args, kwargs))

    @overload
    def enqueue_at(
        self, moment: datetime, func: Callable[P, Awaitable[R]], /, *args: P.args, **kwargs: P.kwargs
    ) -> Job[R]: ...

    @overload
    def enqueue_at(
        self, moment: datetime, func: Callable[P, AsyncIterable[R]], /, *args: P.args, **kwargs: P.kwargs
    ) -> Job[list[R]]: ...

    @overload
    def enqueue_at(
        self, moment: datetime, func: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs
    ) -> Job[R]: ...

    @overload
    def enqueue_at(self, moment: datetime, func: str, /, *args: Any, **kwargs: Any) -> Job[Any]: ...

    def enqueue_at(
        self, moment: datetime, func: Callable[..., Any] | str, /, *args: Any, **kwargs: Any
    ) -> Job[Any]:
        """As `enqueue`, when a moment has come."""
        return self._put(self._prepare.prepare(func, args, kwargs), due_at(moment))

    @overload
    def enqueue_in(
        self, delay: Duration, func: Callable[P, Awaitable[R]], /, *args: P.args, **kwargs: P.kwargs
    ) -> Job[R]: ...

    @overload
    def enqueue_in(
        self, delay: Duration, func: Callable[P, AsyncIterable[R]], /, *args: P.args, **kwargs: P.kwargs
    ) -> Job[list[R]]: ...

    @overload
    def enqueue_in(
        self, delay: Duration, func: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs
    ) -> Job[R]: ...

    @overload
    def enqueue_in(self, delay: Duration, func: str, /, *args: Any, **kwargs: Any) -> Job[Any]: ...

    def enqueue_in(
        self, delay: Duration, func: Callable[..., Any] | str, /, *args: Any, **kwargs: Any
    ) -> Job[Any]:
        """As `enqueue`, after a while."""
        return self._put(self._prepare.prepare(func, args, kwargs), due_in(delay))

    @overload
    def enqueue_call(
        self,
        func: Callable[..., Awaitable[R]],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Job[R]: ...

    @overload
    def enqueue_call(
        self,
        func: Callable[..., AsyncIterable[R]],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Job[list[R]]: ...

    @overload
    def enqueue_call(
        self,
        func: Callable[..., R],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Job[R]: ...

    @overload
    def enqueue_call(
        self,
        func: str,
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Job[Any]: ...

    def enqueue_call(
        self, func: Callable[..., Any] | str, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Job[Any]:
        """As `enqueue`, with the function's arguments in a tuple and a dict."""
        return self._put(self._producer.prepare(func, *arguments(args, kwargs), self._options))

    def enqueue_many(self, calls: Iterable[EnqueueData[R]]) -> list[Job[R]]:
        """Put many calls into the queue, as `Queue.enqueue_many`. Options that a call gives go first."""
        prepared = self._producer.prepare_many(calls, self._options)

        return [Job(job, self._queue) for job in run(self._producer.enqueue_prepared, prepared)]

    def enqueue_job(self, job: Job[R], *, at_front: bool = False) -> Job[R]:
        """Put a job that `Job.create` made into the queue. Options that the job was given go first.

        Returns:
            The same job, which is now this queue's.

        Raises:
            InvalidJobOperation: it was enqueued already.

        """
        if not isinstance(job, Job):
            raise InvalidType(
                f"job={job!r}: expected what Job.create of aioq.sync returns, not"
                f" {type(job).__module__}.{type(job).__qualname__}"
            )

        call = self._prepare.prepare_job(job, at_front=at_front)
        job.adopt(run(self._producer.enqueue, call), self._queue)

        return job

    def enqueue_graph(self, jobs: Iterable[Job[Any]]) -> list[Job[Any]]:
        """Put jobs that `Job.create` made and that depend on one another into the queue. Raises as the queue's."""
        ordered = in_order(jobs, Job)
        made = run(self._producer.enqueue_prepared, self._prepare.prepare_graph(ordered))

        for job, other in zip(ordered, made, strict=True):
            job.adopt(other, self._queue)

        return ordered

    @overload
    def call(self, func: Callable[P, Awaitable[R]], /, *args: P.args, **kwargs: P.kwargs) -> EnqueueData[R]: ...

    @overload
    def call(
        self, func: Callable[P, AsyncIterable[R]], /, *args: P.args, **kwargs: P.kwargs
    ) -> EnqueueData[list[R]]: ...

    @overload
    def call(self, func: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> EnqueueData[R]: ...

    @overload
    def call(self, func: str, /, *args: Any, **kwargs: Any) -> EnqueueData[Any]: ...

    def call(self, func: Callable[..., Any] | str, /, *args: Any, **kwargs: Any) -> EnqueueData[Any]:
        """One call for `enqueue_many`, with these options.

        Example:
            >>> calls = [queue.using(ttl=43).call(send, name) for name in names]  # doctest: +SKIP

        """
        made = self._prepare.call(func, *args, **kwargs)

        return EnqueueData(made.func, made.args, made.kwargs, made.options)

    def _put(self, call: Call, due: str = "") -> Job[Any]:
        call.due = due

        return Job(run(self._producer.enqueue, call), self._queue)

    def __repr__(self) -> str:
        return f"<Using {self._producer.store.queue}>"


@tell_rq_names(plain(TASK))
class BoundTask(Task[P, R_co], Generic[P, R_co]):
    """A task that belongs to a queue. Made by `Queue.task`; calling it calls the function.

    Example:
        >>> @queue.task(ttl=43)  # doctest: +SKIP
        ... def send(name: str) -> None: ...
        >>> job = send.enqueue("you")  # doctest: +SKIP
        >>> job = send.using(ttl=5).enqueue_in("10m", "you")  # doctest: +SKIP
        >>> jobs = send.enqueue_many([send.call(name) for name in names])  # doctest: +SKIP

    """

    def __init__(
        self,
        queue: object,
        function: Callable[P, R_co],
        options: JobOptions,
        producer: Producer,
        given: JobOptions = NO_OPTIONS,
    ) -> None:
        super().__init__(function, options)
        self._producer = producer
        self._given = given  # by `using`; the task's own options are defaults
        self._using = Using(queue, producer, given)

    @property
    def queue(self) -> Any:
        """The Queue."""
        return self._using.queue

    def using(self, **options: Unpack[Options]) -> BoundTask[P, R_co]:
        """The same task with other options over its own, for single calls."""
        given = read_options(options).over(self._given)

        return BoundTask(self.queue, self.function, self.options, self._producer, given)

    @overload
    def enqueue(self: BoundTask[P, Awaitable[R]], *args: P.args, **kwargs: P.kwargs) -> Job[R]: ...

    @overload
    def enqueue(self: BoundTask[P, AsyncIterable[R]], *args: P.args, **kwargs: P.kwargs) -> Job[list[R]]: ...

    @overload
    def enqueue(self: BoundTask[P, R], *args: P.args, **kwargs: P.kwargs) -> Job[R]: ...

    def enqueue(self, *args: P.args, **kwargs: P.kwargs) -> Job[Any]:
        """Put a call of the function into the queue. Raises as `Queue.enqueue`."""
        return self._using.enqueue(self, *args, **kwargs)

    @overload
    def enqueue_at(
        self: BoundTask[P, Awaitable[R]], moment: datetime, /, *args: P.args, **kwargs: P.kwargs
    ) -> Job[R]: ...

    @overload
    def enqueue_at(
        self: BoundTask[P, AsyncIterable[R]], moment: datetime, /, *args: P.args, **kwargs: P.kwargs
    ) -> Job[list[R]]: ...

    @overload
    def enqueue_at(self: BoundTask[P, R], moment: datetime, /, *args: P.args, **kwargs: P.kwargs) -> Job[R]: ...

    def enqueue_at(self, moment: datetime, /, *args: P.args, **kwargs: P.kwargs) -> Job[Any]:
        """As `enqueue`, when a moment has come."""
        return self._using.enqueue_at(moment, self, *args, **kwargs)

    @overload
    def enqueue_in(
        self: BoundTask[P, Awaitable[R]], delay: Duration, /, *args: P.args, **kwargs: P.kwargs
    ) -> Job[R]: ...

    @overload
    def enqueue_in(
        self: BoundTask[P, AsyncIterable[R]], delay: Duration, /, *args: P.args, **kwargs: P.kwargs
    ) -> Job[list[R]]: ...

    @overload
    def enqueue_in(self: BoundTask[P, R], delay: Duration, /, *args: P.args, **kwargs: P.kwargs) -> Job[R]: ...

    def enqueue_in(self, delay: Duration, /, *args: P.args, **kwargs: P.kwargs) -> Job[Any]:
        """As `enqueue`, after a while."""
        return self._using.enqueue_in(delay, self, *args, **kwargs)

    def enqueue_many(self, calls: Iterable[EnqueueData[R]]) -> list[Job[R]]:
        """Put many calls of the function into the queue, as `Queue.enqueue_many`.

        Raises:
            InvalidInput: one is a call of another function. Nothing was written.

        """
        return self._using.enqueue_many(own_calls(self, calls))

    @overload
    def call(self: BoundTask[P, Awaitable[R]], *args: P.args, **kwargs: P.kwargs) -> EnqueueData[R]: ...

    @overload
    def call(self: BoundTask[P, AsyncIterable[R]], *args: P.args, **kwargs: P.kwargs) -> EnqueueData[list[R]]: ...

    @overload
    def call(self: BoundTask[P, R], *args: P.args, **kwargs: P.kwargs) -> EnqueueData[R]: ...

    def call(self, *args: P.args, **kwargs: P.kwargs) -> EnqueueData[Any]:
        """One call for `enqueue_many`."""
        return self._using.call(self, *args, **kwargs)
