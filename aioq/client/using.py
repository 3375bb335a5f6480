"""Typed forms of enqueue: options in one place, and the function's own arguments in the call."""

from __future__ import annotations

from collections.abc import AsyncIterable, Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any, ParamSpec, TypeVar, Unpack, overload

from aioq.client.call import Call, arguments, refuse_meant_options
from aioq.client.graph import CreatedJob, among, in_order
from aioq.client.job import Job
from aioq.client.plain import awaited
from aioq.client.producer import EnqueueData, Producer
from aioq.values.durations import Duration
from aioq.values.errors import InvalidJobOperation, InvalidType
from aioq.values.metacheck import check_meta
from aioq.values.moments import due_at, due_in
from aioq.values.option_names import suspects
from aioq.values.options import OPTION_NAMES, JobOptions, Options, read_options

P = ParamSpec("P")
R = TypeVar("R")


class Using:
    """A queue and options, for typed calls. Made by `Queue.using`; all arguments of a call go to its function.

    Example:
        >>> urgent = queue.using(at_front=True, retry=3)  # doctest: +SKIP
        >>> job = await urgent.enqueue(send, "you")  # doctest: +SKIP

    """

    def __init__(self, producer: Producer, options: JobOptions) -> None:
        self._producer = producer
        self._options = options

    @property
    def queue(self) -> Any:
        """The Queue."""
        return self._producer.store.opened_by

    def using(self, **options: Unpack[Options]) -> Using:
        """These options, and others over them."""
        return Using(self._producer, read_options(options).over(self._options))

    @overload
    async def enqueue(self, func: Callable[P, Awaitable[R]], /, *args: P.args, **kwargs: P.kwargs) -> Job[R]: ...

    @overload
    async def enqueue(
        self, func: Callable[P, AsyncIterable[R]], /, *args: P.args, **kwargs: P.kwargs
    ) -> Job[list[R]]: ...

    @overload
    async def enqueue(self, func: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> Job[R]: ...

    @overload
    async def enqueue(self, func: str, /, *args: Any, **kwargs: Any) -> Job[Any]: ...

    @awaited
    async def enqueue(self, func: Callable[..., Any] | str, /, *args: Any, **kwargs: Any) -> Job[Any]:
        """Put a call into the queue. Raises as `Queue.enqueue`."""
        return await self._enqueue(func, args, kwargs)

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
    async def enqueue_at(self, moment: datetime, func: str, /, *args: Any, **kwargs: Any) -> Job[Any]: ...

    @awaited
    async def enqueue_at(
        self, moment: datetime, func: Callable[..., Any] | str, /, *args: Any, **kwargs: Any
    ) -> Job[Any]:
        """As `enqueue`, when a moment has come."""
        return await self._enqueue(func, args, kwargs, due_at(moment))

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
    async def enqueue_in(self, delay: Duration, func: str, /, *args: Any, **kwargs: Any) -> Job[Any]: ...

    @awaited
    async def enqueue_in(
        self, delay: Duration, func: Callable[..., Any] | str, /, *args: Any, **kwargs: Any
    ) -> Job[Any]:
        """As `enqueue`, after a while."""
        return await self._enqueue(func, args, kwargs, due_in(delay))

    @overload
    async def enqueue_call(
        self,
        func: Callable[..., Awaitable[R]],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Job[R]: ...

    @overload
    async def enqueue_call(
        self,
        func: Callable[..., AsyncIterable[R]],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Job[list[R]]: ...

    @overload
    async def enqueue_call(
        self,
        func: Callable[..., R],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Job[R]: ...

    @overload
    async def enqueue_call(
        self,
        func: str,
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Job[Any]: ...

    @awaited
    async def enqueue_call(
        self, func: Callable[..., Any] | str, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Job[Any]:
        """As `enqueue`, with the function's arguments in a tuple and a dict."""
        return await self._producer.enqueue(self._producer.prepare(func, *arguments(args, kwargs), self._options))

    @awaited
    async def enqueue_many(self, calls: Iterable[EnqueueData[R]]) -> list[Job[R]]:
        """Put many calls into the queue, as `Queue.enqueue_many`. Options that a call gives go first."""
        return await self._producer.enqueue_many(calls, self._options)

    @awaited
    async def enqueue_job(self, job: Job[R], *, at_front: bool = False) -> Job[R]:
        """Put a job that `Job.create` made into the queue. Options that the job was given go first.

        Returns:
            The same job, which is now this queue's.

        Raises:
            InvalidJobOperation: it was enqueued already.

        """
        if not isinstance(job, Job):
            raise InvalidType(f"job={job!r}: expected what Job.create returns, not {type(job).__name__}")

        job.adopt(await self._producer.enqueue(self.prepare_job(job, at_front=at_front)))

        return job

    @awaited
    async def enqueue_graph(self, jobs: Iterable[Job[Any]]) -> list[Job[Any]]:
        """Put jobs that `Job.create` made and that depend on one another into the queue. Raises as the queue's."""
        ordered = in_order(jobs, Job)
        made = await self._producer.enqueue_prepared(self.prepare_graph(ordered))

        for job, other in zip(ordered, made, strict=True):
            job.adopt(other)

        return ordered

    def prepare_graph(self, ordered: Sequence[CreatedJob]) -> list[Call]:
        """Check and serialise the calls of `enqueue_graph`. For code without an event loop."""
        ids = {job.id for job in ordered}

        return [self.prepare_job(among(job, ids), at_front=False) for job in ordered]

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
        _refuse_options(func, kwargs)

        return EnqueueData(func, args, kwargs, self._options)

    def prepare(self, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Call:
        """Check and serialise a call of `enqueue`. For code without an event loop."""
        _refuse_options(func, kwargs)

        return self._producer.prepare(func, args, kwargs, self._options)

    def prepare_job(self, job: CreatedJob, *, at_front: bool) -> Call:
        """Check and serialise a call of `enqueue_job`. For code without an event loop."""
        if job.call is None:
            raise InvalidJobOperation(
                f"job {job.id} was enqueued already; `job.requeue()` brings an ended one back"
            )

        changed = {"meta": check_meta(job.meta)} | ({"at_front": True} if at_front else {})
        options = JobOptions(**changed).over(job.call.options)

        return self._producer.complete(replace(job.call, options=options.over(self._options), job_id=job.id))

    async def _enqueue(self, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any], due: str = "") -> Job[Any]:
        call = self.prepare(func, args, kwargs)
        call.due = due

        return await self._producer.enqueue(call)

    def __repr__(self) -> str:
        return f"<Using {self._producer.store.queue}>"


def _refuse_options(func: Any, kwargs: dict[str, Any]) -> None:
    if kwargs and (names := suspects(tuple(kwargs), OPTION_NAMES)):
        refuse_meant_options(func, names, kwargs, apart=True)
