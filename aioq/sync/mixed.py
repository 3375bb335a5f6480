"""RQ's form of a call, for code without an event loop: arguments and options stand side by side."""

from __future__ import annotations

from collections.abc import AsyncIterable, Awaitable, Callable
from datetime import datetime
from typing import Any, Never, ParamSpec, TypeVar, overload

from aioq.client.call import Call
from aioq.client.mixed import ArgumentsDoNotFit
from aioq.client.parts import part_of
from aioq.client.producer import Producer
from aioq.client.queue import Queue as AsyncQueue
from aioq.sync.calling import run
from aioq.sync.job import Job
from aioq.values.durations import Duration
from aioq.values.moments import due_at, due_in

P = ParamSpec("P")
R = TypeVar("R")


@part_of("Queue")
class Mixed:
    """The part of a queue that takes calls in RQ's form. Its overloads are those of aioq.Queue.

    A call whose arguments do not fit gives no Job, so its use is refused where it is a Job that is expected.
    """

    #: The asyncio form.
    _queue: AsyncQueue

    @property
    def producer(self) -> Producer:
        """Where every form of enqueue ends."""
        return self._queue.producer

    @overload
    def enqueue(self, func: Callable[P, Awaitable[R]], /, *args: P.args, **kwargs: P.kwargs) -> Job[R]: ...

    @overload
    def enqueue(
        self, func: Callable[P, AsyncIterable[R]], /, *args: P.args, **kwargs: P.kwargs
    ) -> Job[list[R]]: ...

    @overload
    def enqueue(self, func: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> Job[R]: ...

    @overload
    def enqueue(
        self,
        func: Callable[..., object],
        /,
        *given: object,
        job_timeout: Never = ...,
        result_ttl: Never = ...,
        ttl: Never = ...,
        failure_ttl: Never = ...,
        description: Never = ...,
        job_id: Never = ...,
        at_front: Never = ...,
        meta: Never = ...,
        retry: Never = ...,
        repeat: Never = ...,
        durability: Never = ...,
        depends_on: Never = ...,
        deferred_ttl: Never = ...,
        on_success: Never = ...,
        on_failure: Never = ...,
        on_stopped: Never = ...,
        on_canceled: Never = ...,
        on_expired: Never = ...,
        on_retry: Never = ...,
        webhooks: Never = ...,
        executor: Never = ...,
        args: Never = ...,
        kwargs: Never = ...,
        **named: object,
    ) -> ArgumentsDoNotFit: ...

    @overload
    def enqueue(self, func: Callable[..., Awaitable[R]], /, *args: Any, **kwargs: Any) -> Job[R]: ...

    @overload
    def enqueue(self, func: Callable[..., AsyncIterable[R]], /, *args: Any, **kwargs: Any) -> Job[list[R]]: ...

    @overload
    def enqueue(self, func: Callable[..., R], /, *args: Any, **kwargs: Any) -> Job[R]: ...

    @overload
    def enqueue(self, func: str, /, *args: Any, **kwargs: Any) -> Job[Any]: ...

    def enqueue(self, func: Callable[..., Any] | str, /, *args: Any, **kwargs: Any) -> Job[Any]:  # type: ignore[misc]  # the fourth form gives no job
        """Put a call into the queue.

        Option names (job_timeout, result_ttl, ttl, failure_ttl, description, job_id, at_front, meta, retry,
        repeat, durability, executor) are taken out of kwargs; the rest goes to the function. `args=` and `kwargs=`
        pass a function's arguments explicitly, for one whose own names are those of options. Type checkers compare
        the arguments with the function if there is no option among them; with `using`, they always do.

        Raises:
            InvalidInput: the function, an argument or an option cannot be used. Nothing was written.
            DuplicateJobError: a job with this job_id has not ended.
            NotDurable: the job is in the queue, but not as durable as `durability` asks for.
            ServerUnsuitable: the server cannot do what `durability` asks for. Nothing was written.
            ServerError: the server cannot be reached, or refuses.

        Example:
            >>> job = queue.enqueue(count_words_at_url, "http://nvie.com", ttl=43)  # doctest: +SKIP

        """
        return self._put(self._queue.prepare(func, args, kwargs))

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
    def enqueue_at(
        self,
        moment: datetime,
        func: Callable[..., object],
        /,
        *given: object,
        job_timeout: Never = ...,
        result_ttl: Never = ...,
        ttl: Never = ...,
        failure_ttl: Never = ...,
        description: Never = ...,
        job_id: Never = ...,
        at_front: Never = ...,
        meta: Never = ...,
        retry: Never = ...,
        repeat: Never = ...,
        durability: Never = ...,
        depends_on: Never = ...,
        deferred_ttl: Never = ...,
        on_success: Never = ...,
        on_failure: Never = ...,
        on_stopped: Never = ...,
        on_canceled: Never = ...,
        on_expired: Never = ...,
        on_retry: Never = ...,
        webhooks: Never = ...,
        executor: Never = ...,
        args: Never = ...,
        kwargs: Never = ...,
        **named: object,
    ) -> ArgumentsDoNotFit: ...

    @overload
    def enqueue_at(
        self, moment: datetime, func: Callable[..., Awaitable[R]], /, *args: Any, **kwargs: Any
    ) -> Job[R]: ...

    @overload
    def enqueue_at(
        self, moment: datetime, func: Callable[..., AsyncIterable[R]], /, *args: Any, **kwargs: Any
    ) -> Job[list[R]]: ...

    @overload
    def enqueue_at(self, moment: datetime, func: Callable[..., R], /, *args: Any, **kwargs: Any) -> Job[R]: ...

    @overload
    def enqueue_at(self, moment: datetime, func: str, /, *args: Any, **kwargs: Any) -> Job[Any]: ...

    def enqueue_at(  # type: ignore[misc]  # as above
        self, moment: datetime, func: Callable[..., Any] | str, /, *args: Any, **kwargs: Any
    ) -> Job[Any]:
        """Put a call into the queue when a moment has come. A naive datetime is in this machine's time zone."""
        return self._put(self._queue.prepare(func, args, kwargs), due_at(moment))

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
    def enqueue_in(
        self,
        delay: Duration,
        func: Callable[..., object],
        /,
        *given: object,
        job_timeout: Never = ...,
        result_ttl: Never = ...,
        ttl: Never = ...,
        failure_ttl: Never = ...,
        description: Never = ...,
        job_id: Never = ...,
        at_front: Never = ...,
        meta: Never = ...,
        retry: Never = ...,
        repeat: Never = ...,
        durability: Never = ...,
        depends_on: Never = ...,
        deferred_ttl: Never = ...,
        on_success: Never = ...,
        on_failure: Never = ...,
        on_stopped: Never = ...,
        on_canceled: Never = ...,
        on_expired: Never = ...,
        on_retry: Never = ...,
        webhooks: Never = ...,
        executor: Never = ...,
        args: Never = ...,
        kwargs: Never = ...,
        **named: object,
    ) -> ArgumentsDoNotFit: ...

    @overload
    def enqueue_in(
        self, delay: Duration, func: Callable[..., Awaitable[R]], /, *args: Any, **kwargs: Any
    ) -> Job[R]: ...

    @overload
    def enqueue_in(
        self, delay: Duration, func: Callable[..., AsyncIterable[R]], /, *args: Any, **kwargs: Any
    ) -> Job[list[R]]: ...

    @overload
    def enqueue_in(self, delay: Duration, func: Callable[..., R], /, *args: Any, **kwargs: Any) -> Job[R]: ...

    @overload
    def enqueue_in(self, delay: Duration, func: str, /, *args: Any, **kwargs: Any) -> Job[Any]: ...

    def enqueue_in(  # type: ignore[misc]  # as above
        self, delay: Duration, func: Callable[..., Any] | str, /, *args: Any, **kwargs: Any
    ) -> Job[Any]:
        """Put a call into the queue after a while, counted by the server's clock."""
        return self._put(self._queue.prepare(func, args, kwargs), due_in(delay))

    def _put(self, call: Call, due: str = "") -> Job[Any]:
        call.due = due

        return Job(run(self._queue.producer.enqueue, call), self)
