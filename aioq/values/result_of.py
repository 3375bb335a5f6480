"""ResultOf: the result of a job as an argument of another one that depends on it."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, Final, NoReturn

from aioq.values.dependency import HasId, is_handle
from aioq.values.errors import InvalidInput, InvalidType, SerializationError
from aioq.values.ids import check_id
from aioq.values.option import Option, Packed

#: Where such an argument stands: a position, or the name of a parameter.
Place = int | str

#: What stands there while the call is serialised.
PLACE: Final = object()

#: What the packed options of a job with such arguments have, and those of no other job.
MARK = b'"results":[['


class ResultOf:
    """Stands for the result of another job, as an argument. The function gets the result itself.

    The job must be one that the new job depends on. Its result is kept until the new job has ended, whatever its
    `result_ttl`. With `on_failure="run"`, the function gets a JobFailed in its place if there is none.

    Args:
        job: the other job, or its id.

    Raises:
        InvalidType: it is neither a job nor an id.

    Example:
        >>> thumbnail = await queue.enqueue(shrink, ResultOf(image), depends_on=image)  # doctest: +SKIP

    """

    __slots__ = ("id",)

    id: str

    def __init__(self, job: HasId | str) -> None:
        if isinstance(job, str):
            self.id = check_id(job, "ResultOf")
        elif is_handle(job):
            self.id = job.id
        else:
            raise InvalidType(f"ResultOf({job!r}): expected a job or its id")

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ResultOf) and other.id == self.id

    def __hash__(self) -> int:
        return hash((ResultOf, self.id))

    def __repr__(self) -> str:
        return f"ResultOf({self.id!r})"

    def __reduce__(self) -> NoReturn:
        raise InvalidInput(
            f"{self!r} stands for an argument as a whole, and for nothing inside of one; give it to the function"
            " as an argument of its own"
        )


def find_results(args: Sequence[Any], kwargs: Mapping[str, Any]) -> list[tuple[Place, str]]:
    """Where results of other jobs stand among the arguments of a call, and of which jobs."""
    placed: Iterable[tuple[Place, Any]] = [*enumerate(args), *kwargs.items()]

    return [(place, value.id) for place, value in placed if isinstance(value, ResultOf)]


def check_results(found: Iterable[tuple[Place, str]], parents: Collection[str]) -> None:
    """Refuse results of jobs that the job does not depend on. Raises InvalidInput."""
    for place, job_id in found:
        if job_id not in parents:
            raise InvalidInput(
                f"{told(place)} is ResultOf({job_id!r}), and the job does not depend on that one; name it in"
                " depends_on, too"
            )


def refuse_results(args: Sequence[Any], kwargs: Mapping[str, Any]) -> None:
    """For serializers of users, which may take everything. Raises SerializationError: a result is an argument."""
    if find_results(args, kwargs):
        raise SerializationError("a result of another job is no value yet")


def put_at(
    places: Mapping[Place, Any], args: Sequence[Any], kwargs: Mapping[str, Any]
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """The arguments with other values at some places. A place that the call does not have stays away."""
    changed = tuple(places.get(position, value) for position, value in enumerate(args))

    return changed, {name: places.get(name, value) for name, value in kwargs.items()}


def told(place: Place) -> str:
    """A place, as texts name it."""
    return f"argument {place + 1}" if isinstance(place, int) else f"argument {place!r}"


def _is_sound(value: object) -> bool:
    return isinstance(value, list) and all(
        isinstance(row, list) and len(row) == 2 and isinstance(row[0], Place) and isinstance(row[1], str)
        for row in value
    )


def _read(value: list[tuple[Place, str]], _: str) -> list[tuple[Place, str]]:
    return value


#: No option that users give: it follows from the arguments. As a row, it is signed with the others.
RESULTS_OPTION = Option("results", _read, "results", Packed("results", _is_sound))
