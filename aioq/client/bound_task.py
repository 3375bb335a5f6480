"""BoundTask: a task that belongs to a queue."""

from __future__ import annotations

from collections.abc import AsyncIterable, Awaitable, Callable, Iterable, Iterator
from datetime import datetime
from typing import Any, Generic, ParamSpec, TypeVar, Unpack, overload

from aioq.client.job import Job
from aioq.client.plain import awaited
from aioq.client.producer import EnqueueData, Producer
from aioq.client.task import Task
from aioq.client.using import Using
from aioq.values.durations import Duration
from aioq.values.errors import InvalidInput
from aioq.values.options import NO_OPTIONS, JobOptions, Options, read_options
from aioq.values.rq_names import TASK, tell_rq_names
from aioq.values.serializer import Serializer

P = ParamSpec("P")
R_co = TypeVar("R_co", covariant=True)
R = TypeVar("R")
T = TypeVar("T")


@tell_rq_names(TASK)
class BoundTask(Task[P, R_co], Generic[P, R_co]):
    """A task that belongs to a queue. Made by `Queue.task`; calling it calls the function.

    Example:
        >>> @queue.task(ttl=43)  # doctest: +SKIP
        ... async def send(name: str) -> None: ...
        >>> job = await send.enqueue("you")  # doctest: +SKIP
        >>> job = await send.using(ttl=5).enqueue_in("10m", "you")  # doctest: +SKIP
        >>> jobs = await send.enqueue_many([send.call(name) for name in names])  # doctest: +SKIP

    """

    def __init__(
        self, function: Callable[P, R_co], options: JobOptions, producer: Producer, given: JobOptions = NO_OPTIONS
    ) -> None:
        super().__init__(function, options)
        self._producer = producer
        self._given = given  # by `using`; the task's own options are defaults
        self._using = Using(producer, given)

    @property
    def queue(self) -> Any:
        """The Queue."""
        return self._using.queue

    @property
    def serializer(self) -> Serializer:
        """That of its calls. For the worker."""
        return self._producer.serializer

    def using(self, **options: Unpack[Options]) -> BoundTask[P, R_co]:
        """The same task with other options over its own, for single calls."""
        given = read_options(options).over(self._given)

        return BoundTask(self.function, self.options, self._producer, given)

    @overload
    async def enqueue(self: BoundTask[P, Awaitable[R]], *args: P.args, **kwargs: P.kwargs) -> Job[R]: ...

    @overload
    async def enqueue(self: BoundTask[P, AsyncIterable[R]], *args: P.args, **kwargs: P.kwargs) -> Job[list[R]]: ...

    @overload
    async def enqueue(self: BoundTask[P, R], *args: P.args, **kwargs: P.kwargs) -> Job[R]: ...

    @awaited
    async def enqueue(self, *args: P.args, **kwargs: P.kwargs) -> Job[Any]:
        """Put a call of the function into the queue. Raises as `Queue.enqueue`."""
        return await self._using.enqueue(self, *args, **kwargs)

    @overload
    async def enqueue_at(
        self: BoundTask[P, Awaitable[R]], moment: datetime, /, *args: P.args, **kwargs: P.kwargs
    ) -> Job[R]: ...

    @overload
    async def enqueue_at(
        self: BoundTask[P, AsyncIterable[R]], moment: datetime, /, *args: P.args, **kwargs: P.kwargs
    ) -> Job[list[R]]: ...

    @overload
    async def enqueue_at(
        self: BoundTask[P, R], moment: datetime, /, *args: P.args, **kwargs: P.kwargs
    ) -> Job[R]: ...

    @awaited
    async def enqueue_at(self, moment: datetime, /, *args: P.args, **kwargs: P.kwargs) -> Job[Any]:
        """As `enqueue`, when a moment has come."""
        return await self._using.enqueue_at(moment, self, *args, **kwargs)

    @overload
    async def enqueue_in(
        self: BoundTask[P, Awaitable[R]], delay: Duration, /, *args: P.args, **kwargs: P.kwargs
    ) -> Job[R]: ...

    @overload
    async def enqueue_in(
        self: BoundTask[P, AsyncIterable[R]], delay: Duration, /, *args: P.args, **kwargs: P.kwargs
    ) -> Job[list[R]]: ...

    @overload
    async def enqueue_in(
        self: BoundTask[P, R], delay: Duration, /, *args: P.args, **kwargs: P.kwargs
    ) -> Job[R]: ...

    @awaited
    async def enqueue_in(self, delay: Duration, /, *args: P.args, **kwargs: P.kwargs) -> Job[Any]:
        """As `enqueue`, after a while."""
        return await self._using.enqueue_in(delay, self, *args, **kwargs)

    @awaited
    async def enqueue_many(self, calls: Iterable[EnqueueData[R]]) -> list[Job[R]]:
        """Put many calls of the function into the queue, as `Queue.enqueue_many`.

        Raises:
            InvalidInput: one is a call of another function. Nothing was written.

        """
        return await self._using.enqueue_many(own_calls(self, calls))

    @overload
    def call(self: BoundTask[P, Awaitable[R]], *args: P.args, **kwargs: P.kwargs) -> EnqueueData[R]: ...

    @overload
    def call(self: BoundTask[P, AsyncIterable[R]], *args: P.args, **kwargs: P.kwargs) -> EnqueueData[list[R]]: ...

    @overload
    def call(self: BoundTask[P, R], *args: P.args, **kwargs: P.kwargs) -> EnqueueData[R]: ...

    def call(self, *args: P.args, **kwargs: P.kwargs) -> EnqueueData[Any]:
        """One call for `enqueue_many`."""
        return self._using.call(self, *args, **kwargs)


def own_calls(task: Task[P, R], calls: Iterable[EnqueueData[T]]) -> Iterator[EnqueueData[T]]:
    """The calls, one after the other, as long as each is one of this task. Raises InvalidInput."""
    for call in calls:
        # The producer refuses a value that is no call at all.
        if isinstance(call, EnqueueData) and task.function not in (
            call.func,
            getattr(call.func, "function", None),
        ):
            raise InvalidInput(f"calls: expected calls of {task!r}, and one is of {call.func!r}")

        yield call
