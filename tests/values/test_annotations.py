from __future__ import annotations

import functools
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Coroutine
from types import NoneType
from typing import TYPE_CHECKING, Annotated, Any

import pytest

from aioq.values.annotations import annotations_of
from aioq.values.depends import Depends
from aioq.values.errors import InvalidFunction
from aioq.values.retry import Retry

if TYPE_CHECKING:
    from nowhere import Missing  # type: ignore[import-not-found]


def plain(a: int, /, b: "list[Local]", *c: str, d: Annotated[int, 5] = 1, e=None, **f: bytes) -> None: ...  # type: ignore[no-untyped-def] # noqa: UP037


class Local:
    @classmethod
    def make(cls, number: int) -> Local:
        raise NotImplementedError


def test_parameters_of_each_kind() -> None:
    found = annotations_of(plain)
    assert found.positional == {"a": int, "b": list[Local]}
    assert found.named == {"b": list[Local], "d": Annotated[int, 5], "e": Any}
    assert (found.more, found.more_named, found.returned) == (str, bytes, NoneType)
    assert found.optional == {"d", "e"}


def test_a_class_method_has_no_parameter_for_its_class() -> None:
    found = annotations_of(Local.make)
    assert (found.positional, found.returned) == ({"number": int}, Local)


def wrapped(func: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(func)
    def call(*args: Any, **kwargs: Any) -> Any:
        return func(*args, **kwargs)

    return call


def test_a_decorator_that_keeps_the_function_keeps_its_types() -> None:
    assert annotations_of(wrapped(plain)) == annotations_of(plain)


def asks(a: int, b: Missing = Depends(lambda: None), *, c: Annotated[Any, Depends(lambda: None)]) -> Any: ...


def test_what_a_worker_provides_is_optional_and_of_no_type() -> None:
    found = annotations_of(asks)
    assert (found.positional, found.named["c"], found.optional) == ({"a": int, "b": Any}, Any, {"b", "c"})


@pytest.mark.parametrize(
    ("annotation", "of_the_job"),
    [
        (Awaitable[int], int),
        (Coroutine[Any, Any, list[int]], list[int]),
        (AsyncIterator[int], list[int]),
        (AsyncGenerator[int, None], list[int]),
        (AsyncIterator, Any),
        (int | Retry, int),
        (int | str | Retry, int | str),
        (Retry, NoneType),
        (object, Any),
        ("Local", Local),
    ],
)
def test_the_type_of_a_job_s_result(annotation: Any, of_the_job: Any) -> None:
    def func() -> None: ...

    func.__annotations__["return"] = annotation
    assert annotations_of(func).returned == of_the_job


def unresolved(a: int, b: dict[str, Missing]) -> None: ...


def test_an_annotation_that_cannot_be_resolved_is_named() -> None:
    with pytest.raises(
        InvalidFunction, match=r"parameter b: its annotation 'dict\[str, Missing\]' cannot be resolved"
    ):
        annotations_of(unresolved)


def test_a_function_in_c_takes_anything() -> None:
    found = annotations_of(dict.fromkeys)
    assert found.returned is Any


def test_a_function_that_tells_nothing_of_itself_takes_anything() -> None:
    found = annotations_of(dict)  # it has no signature
    assert (found.positional, found.more, found.more_named, found.returned) == ({}, Any, Any, Any)


def test_a_union_with_notes_of_its_own_stays_what_it_is() -> None:
    noted = Annotated[int | str, "a note"]

    def func() -> None: ...

    func.__annotations__["return"] = noted
    assert annotations_of(func).returned == noted
