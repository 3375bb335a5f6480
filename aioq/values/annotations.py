"""Annotations: what a function of a job says of the types of its arguments and of its result."""

from __future__ import annotations

import inspect
import sys
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Awaitable, Callable, Coroutine
from dataclasses import dataclass
from functools import reduce
from operator import or_
from types import NoneType, SimpleNamespace, UnionType
from typing import (
    Annotated,
    Any,
    NoReturn,
    NotRequired,
    ParamSpecArgs,
    ParamSpecKwargs,
    Required,
    Union,
    Unpack,
    get_args,
    get_origin,
    get_type_hints,
)

from aioq.values.depends import dependencies_of
from aioq.values.errors import InvalidFunction
from aioq.values.retry import Retry

#: Annotations that say nothing.
UNKNOWN = (inspect.Parameter.empty, Any, object)


@dataclass(frozen=True, slots=True)
class Annotations:
    """The types of a function. One that is not annotated, or that a worker provides, is `Any`.

    Args:
        positional: those of the parameters that take an argument by position, in order.
        named: those of the parameters that take one by name.
        more: of all further arguments by position; None if there can be none.
        more_named: of all further arguments by name; None if there can be none.
        optional: the names of parameters that have a default, or that a worker provides.
        returned: that of the result of a job.

    """

    positional: dict[str, Any]
    named: dict[str, Any]
    more: Any
    more_named: Any
    optional: frozenset[str]
    returned: Any


def annotations_of(func: Callable[..., Any]) -> Annotations:
    """What a function says of its types.

    Raises:
        InvalidFunction: an annotation cannot be resolved; the text names the parameter.

    """
    try:
        signature = inspect.signature(func)
    except (ValueError, TypeError):  # one that is written in C
        return Annotations({}, {}, Any, Any, frozenset(), Any)

    injected = {parameter.name for parameter, _ in dependencies_of(func)}
    positional: dict[str, Any] = {}
    named: dict[str, Any] = {}
    more = more_named = None
    optional = set(injected)

    for name, parameter in signature.parameters.items():
        found = Any if name in injected else _resolved(func, parameter.annotation, f"parameter {name}")

        if parameter.kind is parameter.VAR_POSITIONAL:
            more = found
        elif parameter.kind is parameter.VAR_KEYWORD and get_origin(found) is Unpack:
            for key, (kind, is_optional) in _keys(*get_args(found)).items():
                named[key] = kind
                optional |= {key} if is_optional else set()
        elif parameter.kind is parameter.VAR_KEYWORD:
            more_named = found
        else:
            if parameter.kind is not parameter.KEYWORD_ONLY:
                positional[name] = found

            if parameter.kind is not parameter.POSITIONAL_ONLY:
                named[name] = found

            if parameter.default is not parameter.empty:
                optional.add(name)

    returned = _of_result(_resolved(func, signature.return_annotation, "the result"))

    return Annotations(positional, named, more, more_named, frozenset(optional), returned)


def _resolved(func: Callable[..., Any], annotation: Any, what: str) -> Any:
    """An annotation without texts. One that says nothing is `Any`."""
    if annotation in UNKNOWN:
        return Any

    bare = inspect.unwrap(func)
    module = sys.modules.get(getattr(func, "__module__", ""))
    names = getattr(bare, "__globals__", None) or (vars(module) if module else {})
    variables = {each.__name__: each for each in getattr(bare, "__type_params__", ())}
    holder = SimpleNamespace(__annotations__={"it": annotation})

    try:
        found = get_type_hints(holder, names, variables, include_extras=True)["it"]
    except Exception as error:
        raise InvalidFunction(
            f"{what}: its annotation {annotation!r} cannot be resolved: {error}. What it names must be there when"
            ' the program runs, and not only below `if TYPE_CHECKING`; serializer="typed" needs it'
        ) from error

    return Any if found in UNKNOWN or isinstance(found, ParamSpecArgs | ParamSpecKwargs) else found


def _keys(fields: Any) -> dict[str, tuple[Any, bool]]:
    """The keys of a TypedDict, each with its type and whether it may be left away."""
    found = {}

    for key, kind in get_type_hints(fields, include_extras=True).items():
        says = get_origin(kind)  # where annotations are texts, the class itself does not know what each key says
        is_optional = says is NotRequired or (says is not Required and key in fields.__optional_keys__)
        found[key] = get_args(kind)[0] if says in (Required, NotRequired) else kind, is_optional

    return found


def _of_result(annotation: Any) -> Any:
    """The type of a job's result: what is awaited or gathered of what the function returns; never a Retry."""
    origin, args = get_origin(annotation), get_args(annotation)

    if origin is Annotated and get_origin(args[0]) in (Union, UnionType):
        return annotation

    if origin in (Awaitable, Coroutine) and args:
        return _of_result(args[-1])

    if origin in (AsyncIterator, AsyncIterable, AsyncGenerator) and args:
        return list[args[0]]  # type: ignore[valid-type]

    if origin in (Union, UnionType) and Retry in args:
        return reduce(or_, [each for each in args if each is not Retry])

    if annotation is Retry:
        return NoneType

    return Any if annotation in (AsyncIterator, AsyncIterable, AsyncGenerator, NoReturn) else annotation
