"""result_of: the result of a job as an argument, as type checkers see it."""

from __future__ import annotations

from typing import Any, TypeVar, cast

from aioq.sync.job import Job
from aioq.values.result_of import ResultOf

T = TypeVar("T")


def result_of(job: Job[T]) -> T:
    """`ResultOf(job)`, which type checkers take for the result itself.

    So it can stand where the function expects such a value, and a result of another type is an error for them.

    Raises:
        InvalidType: it is no job.

    Example:
        >>> queue.using(depends_on=image).enqueue(shrink, result_of(image))  # doctest: +SKIP

    """
    return cast("T", _marker(job))


def _marker(job: Any) -> ResultOf:
    return ResultOf(job)
