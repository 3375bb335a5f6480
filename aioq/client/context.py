"""The current job, for code that runs inside of one."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterable, Awaitable, Callable
from contextvars import ContextVar
from typing import Any, ParamSpec, TypeVar, overload

from aioq.client.job import Job
from aioq.client.plain import awaited
from aioq.client.queue import Queue
from aioq.client.waits import current
from aioq.values.errors import InvalidJobOperation, NoCurrentJob

P = ParamSpec("P")
R = TypeVar("R")
T = TypeVar("T")

#: What the lifespan of the worker has yielded. Each run gets a copy of the context in which it is set.
resources: ContextVar[object] = ContextVar("resources")


class CurrentJob(Job[Any]):
    """The job that code runs in. In a callback that is the job which the callback follows."""

    __slots__ = ()

    @property
    def callback(self) -> str | None:
        """The option of the callback that runs, such as "on_success"; None in the function of the job itself."""
        return None

    @property
    def queue(self) -> Queue:
        """The queue that the job came from. It uses the connection of the worker, which closes it.

        Its options are those of `Queue(job.origin)`: defaults that other programs give their queue are not stored.
        The worker's connection sends no call again: where others would, `ServerUnreachable` is raised.

        Raises:
            InvalidJobOperation: the job runs in a process of its own, which has no connection to the server.

        """
        store = self._enqueued_store

        return store.opened_by if isinstance(store.opened_by, Queue) else Queue.of(store)

    @overload
    async def add_child(self, func: Callable[P, Awaitable[R]], /, *args: P.args, **kwargs: P.kwargs) -> Job[R]: ...

    @overload
    async def add_child(
        self, func: Callable[P, AsyncIterable[R]], /, *args: P.args, **kwargs: P.kwargs
    ) -> Job[list[R]]: ...

    @overload
    async def add_child(self, func: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> Job[R]: ...

    @overload
    async def add_child(self, func: Callable[..., Any] | str, /, *args: Any, **kwargs: Any) -> Job[Any]: ...

    @awaited
    async def add_child(self, func: Callable[..., Any] | str, /, *args: Any, **kwargs: Any) -> Job[Any]:
        """Enqueue a job that the dependents of this one wait for, too, as they wait for this one.

        The forms are those of `Queue.enqueue`: options stand beside the arguments of the function. The child goes
        to the queue of this job. Only the run itself may add children, as long as it holds its claim; those of an
        attempt that is retried still count.

        Raises:
            InvalidJobOperation: this run has ended or lost its claim; or it is that of a callback, or in a process
                of its own. Nothing was written.
            Others: as `Queue.enqueue`.

        Example:
            >>> await current_job().add_child(fetch_page, 2, retry=3)  # doctest: +SKIP

        """
        if self.callback is not None or self._fence is None:
            raise InvalidJobOperation(
                f"add_child: this is the callback {self.callback} of job {self.id}, which has ended. Only the run"
                " of the job itself may add children"
            )

        queue = self.queue
        call = queue.prepare(func, args, kwargs)
        call.child = f"{self.id}/{self._fence}"

        return await queue.producer.enqueue(call)

    @property
    def worker_loop(self) -> asyncio.AbstractEventLoop | None:
        """The event loop of the worker. None: there is none, in a process for jobs, or in a fork."""
        return self._loop

    @property
    def resources(self) -> Any:
        """What the lifespan of the worker has yielded. `get_resources` gives it with its type.

        Raises:
            InvalidJobOperation: the worker has no lifespan, or the job runs in a process of its own.

        """
        return _resources()


def current_job() -> CurrentJob:
    """The job that this code runs in.

    It is a context variable: right in coroutines and in the tasks that they start, in plain functions on their
    threads, and in `asyncio.to_thread`. A bare `threading.Thread` starts with an empty context, so there is none.

    Raises:
        NoCurrentJob: it is called outside of a job. `get_current_job()` gives None there.

    Example:
        >>> def add(x, y):
        ...     print("current job:", current_job().id)
        ...     return x + y

    """
    job = get_current_job()

    if job is None:
        raise NoCurrentJob(
            "no job runs here. current_job() is for the function of a job and for what it calls, and not for a"
            " threading.Thread that it starts; where there may be none, get_current_job() gives None"
        )

    return job


def get_current_job() -> CurrentJob | None:
    """As `current_job`; None outside of a job.

    Example:
        >>> job = get_current_job()
        >>> print("no job" if job is None else job.id)
        no job

    """
    job = current.get()

    return job if isinstance(job, CurrentJob) else None


def get_resources(kind: type[T]) -> T:
    """What the lifespan of the worker has yielded, for the job that this code runs in.

    Args:
        kind: its class, for type checkers, and for a clear error if it is another one.

    Raises:
        NoCurrentJob: it is called outside of a job.
        InvalidJobOperation: the worker has no lifespan, or one that has yielded something else; or the job runs
            in a process of its own.

    Example:
        >>> pool = get_resources(Pool)  # doctest: +SKIP

    """
    found = current_job().resources

    if not isinstance(found, kind):
        raise InvalidJobOperation(
            f"get_resources({kind.__qualname__}): the lifespan of this worker has yielded"
            f" {type(found).__qualname__}"
        )

    return found


def _resources() -> object:
    try:
        return resources.get()
    except LookupError:
        raise InvalidJobOperation(
            "this worker has no lifespan, so its jobs have no resources. Give it one: Worker(lifespan=...), or"
            " `aioq worker --lifespan shop.worker:lifespan`"
        ) from None


def _after_fork() -> None:
    """The worker's event loop does not run in a forked child."""
    if (job := get_current_job()) is not None:
        job.bind(None)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
