"""Task: a function with default options."""

from __future__ import annotations

from collections.abc import Callable
from functools import update_wrapper
from typing import Generic, ParamSpec, TypeVar, Unpack, overload

from aioq.values.errors import InvalidFunction
from aioq.values.options import JobOptions, Options, read_options
from aioq.values.reference import refer
from aioq.values.rq_names import LOOSE_TASK, tell_rq_names

P = ParamSpec("P")
R = TypeVar("R")
R_co = TypeVar("R_co", covariant=True)


@tell_rq_names(LOOSE_TASK)
class Task(Generic[P, R_co]):
    """A function and the options that its jobs have by default. Calling it calls the function.

    Args:
        function: what a worker runs.
        options: defaults; what is given when the job is enqueued goes first.

    """

    def __init__(self, function: Callable[P, R_co], options: JobOptions) -> None:
        if not callable(function):
            raise InvalidFunction(
                f"a task is made of a function, not of {function!r}. `@queue.task` makes one that belongs to a"
                " queue"
            )

        update_wrapper(self, function)
        self.function = function
        self.options = options

    @property
    def __aioq_function__(self) -> Callable[P, R_co]:
        """What a worker runs when it finds this task at a name."""
        return self.function

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R_co:
        return self.function(*args, **kwargs)

    @property
    def name(self) -> str:
        """The dotted name that workers import."""
        return refer(self.function)[0].name

    def __repr__(self) -> str:
        return f"<Task {self.__module__}.{self.__qualname__}>"

    __module__: str
    __qualname__: str


@overload
def task(function: Callable[P, R], /) -> Task[P, R]: ...


@overload
def task(**options: Unpack[Options]) -> Callable[[Callable[P, R]], Task[P, R]]: ...


def task(
    function: Callable[P, R] | None = None, /, **options: Unpack[Options]
) -> Task[P, R] | Callable[[Callable[P, R]], Task[P, R]]:
    """Give a function default options for its jobs.

    Raises:
        InvalidInput: an option cannot be used.

    Example:
        >>> @task(job_timeout="5m", retry=3)
        ... async def fetch(url: str) -> int: ...
        >>> await queue.enqueue(fetch, "http://localhost/")  # doctest: +SKIP

    """
    checked = read_options(options)

    if function is not None:
        return Task(function, checked)

    return lambda decorated: Task(decorated, checked)
