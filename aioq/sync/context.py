"""The current job, for plain functions that a worker runs."""

from __future__ import annotations

from collections.abc import AsyncIterable, Awaitable, Callable
from typing import Any, ParamSpec, TypeVar, overload

from aioq.client import context
from aioq.client.context import CurrentJob as AsyncCurrentJob
from aioq.sync.calling import run
from aioq.sync.job import Job
from aioq.sync.queue import Queue

P = ParamSpec("P")
R = TypeVar("R")


class CurrentJob(Job[Any]):
    """The job that a plain function runs in. In a callback that is the job which the callback follows."""

    __slots__ = ("_current",)

    def __init__(self, job: AsyncCurrentJob) -> None:
        self._job = self._current = job

    @property
    def queue(self) -> Queue:
        """The queue that the job came from. It uses the connection of the worker, which closes it.

        Its options are those of `Queue(job.origin)`: defaults that other programs give their queue are not stored.
        The worker's connection sends no call again: where others would, `ServerUnreachable` is raised.

        Raises:
            InvalidJobOperation: the job runs in a process of its own, which has no connection to the server.

        """
        return Queue.of(self._current.queue)

    @property
    def resources(self) -> Any:
        """What the lifespan of the worker has yielded. `get_resources` gives it with its type.

        Raises:
            InvalidJobOperation: the worker has no lifespan, or the job runs in a process of its own.

        """
        return self._current.resources

    @property
    def callback(self) -> str | None:
        """The option of the callback that runs, such as "on_success"; None in the function of the job itself."""
        return self._current.callback

    @overload
    def add_child(self, func: Callable[P, Awaitable[R]], /, *args: P.args, **kwargs: P.kwargs) -> Job[R]: ...

    @overload
    def add_child(
        self, func: Callable[P, AsyncIterable[R]], /, *args: P.args, **kwargs: P.kwargs
    ) -> Job[list[R]]: ...

    @overload
    def add_child(self, func: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> Job[R]: ...

    @overload
    def add_child(self, func: Callable[..., Any] | str, /, *args: Any, **kwargs: Any) -> Job[Any]: ...

    def add_child(self, func: Callable[..., Any] | str, /, *args: Any, **kwargs: Any) -> Job[Any]:
        """Enqueue a job that the dependents of this one wait for, too, as they wait for this one.

        The forms are those of `Queue.enqueue`, and it raises as `CurrentJob.add_child` of aioq does.
        """
        return Job(run(self._current.add_child, func, *args, **kwargs), self.queue)

    def save_meta(self) -> None:
        """As `Job.save_meta`. The worker stores the meta of a job that runs in a process of its own."""
        self._current.save_meta_sync()


def current_job() -> CurrentJob:
    """The job that this code runs in, with plain calls. `aioq.current_job` gives the same one for coroutines.

    Raises:
        NoCurrentJob: it is called outside of a job.

    Example:
        >>> def add(x, y):
        ...     print("current job:", current_job().id)
        ...     return x + y

    """
    return CurrentJob(context.current_job())


def get_current_job() -> CurrentJob | None:
    """As `current_job`; None outside of a job."""
    job = context.get_current_job()

    return None if job is None else CurrentJob(job)
