"""Enqueuing: the forms of enqueue that a Queue has."""

from __future__ import annotations

from collections.abc import AsyncIterable, Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Any, ParamSpec, TypeVar, Unpack, overload

from aioq.client.bound_task import BoundTask
from aioq.client.call import arguments
from aioq.client.group import Group
from aioq.client.job import Job
from aioq.client.mixed import Mixed
from aioq.client.parts import part_of
from aioq.client.plain import awaited
from aioq.client.producer import EnqueueData
from aioq.client.sequel import Sequel
from aioq.client.using import Using
from aioq.values.durations import Duration
from aioq.values.group import KEPT_MS
from aioq.values.options import Options, read_options
from aioq.values.rq_names import ENQUEUE_MANY_ARGUMENTS, tell_rq_arguments

P = ParamSpec("P")
R = TypeVar("R")


@part_of("Queue")
class Enqueuing(Mixed):
    """The part of a queue that puts jobs into it."""

    @overload
    async def enqueue_call(
        self,
        func: Callable[..., Awaitable[R]],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
        *,
        timeout: Duration | None = None,  # noqa: ASYNC109 - as below
        **options: Unpack[Options],
    ) -> Job[R]: ...

    @overload
    async def enqueue_call(
        self,
        func: Callable[..., AsyncIterable[R]],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
        *,
        timeout: Duration | None = None,  # noqa: ASYNC109 - as below
        **options: Unpack[Options],
    ) -> Job[list[R]]: ...

    @overload
    async def enqueue_call(
        self,
        func: Callable[..., R],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
        *,
        timeout: Duration | None = None,  # noqa: ASYNC109 - as below
        **options: Unpack[Options],
    ) -> Job[R]: ...

    @overload
    async def enqueue_call(
        self,
        func: str,
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
        *,
        timeout: Duration | None = None,  # noqa: ASYNC109 - as below
        **options: Unpack[Options],
    ) -> Job[Any]: ...

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

    @tell_rq_arguments(ENQUEUE_MANY_ARGUMENTS)
    @awaited
    async def enqueue_many(self, calls: Iterable[EnqueueData[R]]) -> list[Job[R]]:
        """Put many calls into the queue: all are checked first, then sent in chunks, in their order.

        Raises:
            InvalidInput: one of the calls cannot be used. Nothing was written.
            DuplicateJobError: ids of live jobs; the other calls were enqueued.
            NotDurable: jobs that are in the queue, but not as durable as `durability` asks for.

        Example:
            >>> await queue.enqueue_many([Queue.prepare_data(send, (name,)) for name in names])  # doctest: +SKIP

        """
        return await self._producer.enqueue_many(calls)

    @overload
    @staticmethod
    def prepare_data(
        func: Callable[..., Awaitable[R]],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
        **options: Unpack[Options],
    ) -> EnqueueData[R]: ...

    @overload
    @staticmethod
    def prepare_data(
        func: Callable[..., AsyncIterable[R]],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
        **options: Unpack[Options],
    ) -> EnqueueData[list[R]]: ...

    @overload
    @staticmethod
    def prepare_data(
        func: Callable[..., R],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
        **options: Unpack[Options],
    ) -> EnqueueData[R]: ...

    @overload
    @staticmethod
    def prepare_data(
        func: str,
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
        **options: Unpack[Options],
    ) -> EnqueueData[Any]: ...

    @staticmethod
    def prepare_data(
        func: Callable[..., Any] | str,
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
        **options: Unpack[Options],
    ) -> EnqueueData[Any]:
        """One call for `enqueue_many`."""
        return EnqueueData(func, *arguments(args, kwargs), read_options(options))

    @awaited
    async def enqueue_group(
        self,
        calls: Iterable[EnqueueData[R]],
        *,
        name: str | None = None,
        on_complete: Sequel | None = None,
        on_failure: Sequel | None = None,
        ttl: Duration = KEPT_MS // 1000,
    ) -> Group[R]:
        """Put calls into the queue that belong together, as `Group.create` and `Group.enqueue_many` do.

        Args:
            calls: what `prepare_data` and `call` return.
            name: of the group (default: a new one).
            on_complete: a call, or a function without arguments, of which a job is made when all members have
                ended.
            on_failure: the same, in the place of `on_complete` if one of them has ended without finishing.
            ttl: how long the group is kept after its end (default: a day).

        Raises:
            DuplicateGroupError: the queue has a group of this name. Nothing was written.
            Others: as `enqueue_many`.

        Example:
            >>> calls = [Queue.prepare_data(fetch, (url,)) for url in urls]  # doctest: +SKIP
            >>> group = await queue.enqueue_group(calls, on_complete=summarise)  # doctest: +SKIP
            >>> pages = await group.results()  # doctest: +SKIP

        """
        group = Group.create(self, name, on_complete=on_complete, on_failure=on_failure, ttl=ttl)
        await group.enqueue_many(self, calls)

        return group

    @awaited
    async def enqueue_job(self, job: Job[R], *, at_front: bool = False) -> Job[R]:
        """Put a job that `Job.create` made into this queue; its meta may have been changed since.

        Returns:
            The same job, which is now this queue's.

        Raises:
            InvalidJobOperation: it was enqueued already.

        """
        return await self.using().enqueue_job(job, at_front=at_front)

    @awaited
    async def enqueue_graph(self, jobs: Iterable[Job[Any]]) -> list[Job[Any]]:
        """Put jobs that `Job.create` made and that depend on one another into the queue, in one call.

        They may stand in any order, and depend on jobs that are enqueued already, too.

        Returns:
            The same jobs, each after those that it depends on. They are now this queue's.

        Raises:
            InvalidInput: they depend on each other in a circle, or an option cannot be used. Nothing was written.
            InvalidJobOperation: one was enqueued already.
            NoSuchJobError: one depends on a job that is not there. Nothing was written.

        Example:
            >>> fetched = Job.create(fetch, (7,))  # doctest: +SKIP
            >>> report = Job.create(report, (), depends_on=fetched)  # doctest: +SKIP
            >>> await queue.enqueue_graph([report, fetched])  # doctest: +SKIP

        """
        return await self.using().enqueue_graph(jobs)

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
