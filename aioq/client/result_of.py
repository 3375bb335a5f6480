"""result_of: the result of a job as an argument, as type checkers see it."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Any, Protocol, TypeVar, overload

from aioq.values.result_of import ResultOf

T_co = TypeVar("T_co", covariant=True)
T = TypeVar("T")


class AsyncHandle(Protocol[T_co]):
    """A job whose result is awaited."""

    @property
    def id(self) -> str: ...

    def result(self) -> Awaitable[T_co]: ...


class PlainHandle(Protocol[T_co]):
    """A job of `aioq.sync`."""

    @property
    def id(self) -> str: ...

    def result(self) -> T_co: ...


@overload
def result_of(job: AsyncHandle[T]) -> T: ...


@overload
def result_of(job: PlainHandle[T]) -> T: ...


def result_of(job: Any) -> Any:
    """As `ResultOf(job)`, which type checkers take for the result itself.

    So it can stand where the function expects such a value, and a result of another type is an error for them.

    Raises:
        InvalidType: it is no job.

    Example:
        >>> queue.using(depends_on=image).enqueue(shrink, result_of(image))  # doctest: +SKIP

    """
    return ResultOf(job)
