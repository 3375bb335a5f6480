"""Enqueuing: the forms of enqueue that a Queue has, and RQ's mixture of arguments and options."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, ParamSpec, TypeVar, Unpack, cast, overload

from aioq.client.call import arguments, refuse_meant_options
from aioq.client.job import Job
from aioq.client.parts import part_of
from aioq.client.plain import awaited
from aioq.client.producer import EnqueueData, Producer
from aioq.client.using import BoundTask, Using
from aioq.values.durations import Duration
from aioq.values.errors import InvalidInput
from aioq.values.moments import due_at, due_in
from aioq.values.option_names import suspects
from aioq.values.options import NO_OPTIONS, OPTION_NAMES, JobOptions, Options, read_options
from aioq.values.rq_names import ENQUEUE_MANY_ARGUMENTS, tell_rq_arguments

P = ParamSpec("P")
R = TypeVar("R")


@part_of("Queue")
class Enqueuing:
    """The part of a queue that puts jobs into it."""

    #: Where every form ends.
    _producer: Producer

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

        return await producer.enqueue(producer.describe(func, args, kwargs, options))

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
        call = self._producer.describe(func, *_split(func, args, kwargs))
        call.due = due_at(moment)

        return await self._producer.enqueue(call)

    @awaited
    async def enqueue_in(
        self, delay: Duration, func: Callable[..., Any] | str, /, *args: Any, **kwargs: Any
    ) -> Job[Any]:
        """Put a call into the queue after a while, counted by the server's clock."""
        call = self._producer.describe(func, *_split(func, args, kwargs))
        call.due = due_in(delay)

        return await self._producer.enqueue(call)

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
