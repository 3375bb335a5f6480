"""RQ's form of a call: the arguments of the function and the options of the job stand side by side."""

from __future__ import annotations

from collections.abc import AsyncIterable, Awaitable, Callable
from datetime import datetime
from typing import Any, Never, ParamSpec, TypeVar, cast, overload

from aioq.client.call import Call, arguments, refuse_meant_options
from aioq.client.job import Job
from aioq.client.parts import part_of
from aioq.client.plain import awaited
from aioq.client.producer import Producer
from aioq.values.durations import Duration
from aioq.values.errors import InvalidInput
from aioq.values.moments import due_at, due_in
from aioq.values.option_names import suspects
from aioq.values.options import NO_OPTIONS, OPTION_NAMES, JobOptions, Options, read_options

P = ParamSpec("P")
R = TypeVar("R")


class ArgumentsDoNotFit:
    """What type checkers believe a call gives if its function does not take its arguments: nothing to await."""


@part_of("Queue")
class Mixed:
    """The part of a queue that takes calls in RQ's form.

    Its overloads are for type checkers. The first three compare the arguments with the function: a coroutine
    function, an async generator function, or a plain one. What they do not take has options, or is wrong. The
    fourth takes what has no option (nothing is a Never) and gives nothing that could be awaited, so that the call
    is refused. The others take calls with options: there nobody knows whether an argument is for the function.
    """

    #: Where every form ends.
    _producer: Producer

    @overload
    async def enqueue(self, func: Callable[P, Awaitable[R]], /, *args: P.args, **kwargs: P.kwargs) -> Job[R]: ...

    @overload
    async def enqueue(
        self, func: Callable[P, AsyncIterable[R]], /, *args: P.args, **kwargs: P.kwargs
    ) -> Job[list[R]]: ...

    @overload
    async def enqueue(self, func: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> Job[R]: ...

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
    async def enqueue(self, func: Callable[..., Awaitable[R]], /, *args: Any, **kwargs: Any) -> Job[R]: ...

    @overload
    async def enqueue(
        self, func: Callable[..., AsyncIterable[R]], /, *args: Any, **kwargs: Any
    ) -> Job[list[R]]: ...

    @overload
    async def enqueue(self, func: Callable[..., R], /, *args: Any, **kwargs: Any) -> Job[R]: ...

    @overload
    async def enqueue(self, func: str, /, *args: Any, **kwargs: Any) -> Job[Any]: ...

    @awaited  # type: ignore[misc]  # the fourth form is no coroutine
    async def enqueue(self, func: Callable[..., Any] | str, /, *args: Any, **kwargs: Any) -> Job[Any]:
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
            >>> job = await queue.enqueue(count_words_at_url, "http://nvie.com", ttl=43)  # doctest: +SKIP

        """
        options, producer = NO_OPTIONS, self._producer

        if kwargs:
            args, kwargs, options = _split(func, args, kwargs)

        return await producer.enqueue(producer.prepare(func, args, kwargs, options))

    @overload
    async def enqueue_at(
        self, moment: datetime, func: Callable[P, Awaitable[R]], /, *args: P.args, **kwargs: P.kwargs
    ) -> Job[R]: ...

    @overload
    async def enqueue_at(
        self, moment: datetime, func: Callable[P, AsyncIterable[R]], /, *args: P.args, **kwargs: P.kwargs
    ) -> Job[list[R]]: ...

    @overload
    async def enqueue_at(
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
    async def enqueue_at(
        self, moment: datetime, func: Callable[..., Awaitable[R]], /, *args: Any, **kwargs: Any
    ) -> Job[R]: ...

    @overload
    async def enqueue_at(
        self, moment: datetime, func: Callable[..., AsyncIterable[R]], /, *args: Any, **kwargs: Any
    ) -> Job[list[R]]: ...

    @overload
    async def enqueue_at(
        self, moment: datetime, func: Callable[..., R], /, *args: Any, **kwargs: Any
    ) -> Job[R]: ...

    @overload
    async def enqueue_at(self, moment: datetime, func: str, /, *args: Any, **kwargs: Any) -> Job[Any]: ...

    @awaited  # type: ignore[misc]  # as above
    async def enqueue_at(
        self, moment: datetime, func: Callable[..., Any] | str, /, *args: Any, **kwargs: Any
    ) -> Job[Any]:
        """Put a call into the queue when a moment has come. A naive datetime is in this machine's time zone."""
        call = self._producer.prepare(func, *_split(func, args, kwargs))
        call.due = due_at(moment)

        return await self._producer.enqueue(call)

    @overload
    async def enqueue_in(
        self, delay: Duration, func: Callable[P, Awaitable[R]], /, *args: P.args, **kwargs: P.kwargs
    ) -> Job[R]: ...

    @overload
    async def enqueue_in(
        self, delay: Duration, func: Callable[P, AsyncIterable[R]], /, *args: P.args, **kwargs: P.kwargs
    ) -> Job[list[R]]: ...

    @overload
    async def enqueue_in(
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
    async def enqueue_in(
        self, delay: Duration, func: Callable[..., Awaitable[R]], /, *args: Any, **kwargs: Any
    ) -> Job[R]: ...

    @overload
    async def enqueue_in(
        self, delay: Duration, func: Callable[..., AsyncIterable[R]], /, *args: Any, **kwargs: Any
    ) -> Job[list[R]]: ...

    @overload
    async def enqueue_in(
        self, delay: Duration, func: Callable[..., R], /, *args: Any, **kwargs: Any
    ) -> Job[R]: ...

    @overload
    async def enqueue_in(self, delay: Duration, func: str, /, *args: Any, **kwargs: Any) -> Job[Any]: ...

    @awaited  # type: ignore[misc]  # as above
    async def enqueue_in(
        self, delay: Duration, func: Callable[..., Any] | str, /, *args: Any, **kwargs: Any
    ) -> Job[Any]:
        """Put a call into the queue after a while, counted by the server's clock."""
        call = self._producer.prepare(func, *_split(func, args, kwargs))
        call.due = due_in(delay)

        return await self._producer.enqueue(call)

    def prepare(self, func: Callable[..., Any] | str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Call:
        """Check and serialise a call of `enqueue`. For code without an event loop."""
        return self._producer.prepare(func, *_split(func, args, kwargs))

    @property
    def producer(self) -> Producer:
        """Where every form of enqueue ends. For code without an event loop."""
        return self._producer


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
