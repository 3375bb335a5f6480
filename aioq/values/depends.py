"""Depends: what a function of a job wants to be given, as its parameters say it."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Annotated, Any, Literal, get_args, get_origin

from aioq.values.errors import InvalidFunction, InvalidInput

#: For how long a value is used: for one run, or by all runs of a worker.
Scope = Literal["run", "worker"]

#: Classes of web frameworks: there is no request in a worker.
_OF_REQUESTS = ("fastapi.", "starlette.")


@dataclass(frozen=True, slots=True)
class Dependency:
    """What `Depends` gives: a function is called for the value of a parameter.

    Args:
        dependency: the function; None: the annotated class.
        use_cache: whether all who ask within one run get the same value.
        scope: for how long the value is used.

    """

    dependency: Callable[..., Any] | None
    use_cache: bool = True
    scope: Scope = "run"


def Depends(  # noqa: N802 - as FastAPI's
    dependency: Callable[..., Any] | None = None, *, use_cache: bool = True, scope: Scope = "run"
) -> Any:
    """Mark a parameter of a job's function: the worker calls `dependency`, and passes what it gives.

    It is a default (`db: Session = Depends(get_session)`) or a part of `Annotated[Session, Depends(get_session)]`.
    FastAPI's own `Depends` is understood as well.

    Args:
        dependency: a function, a coroutine function, or a generator of either kind that yields once; what follows
            its `yield` runs when the run ends. Its own parameters may have dependencies. None: the annotated
            class.
        use_cache: whether all who ask within one run get the same value (default True).
        scope: "run" (default): a value for each run; "worker": one that all runs of the worker share. It is opened
            when the first run asks for it, and closed after the last one.

    Raises:
        InvalidInput: `dependency` cannot be called, or there is no such scope.

    Example:
        >>> async def get_session():
        ...     async with sessions() as session:
        ...         yield session
        >>> async def charge(order: int, db=Depends(get_session)): ...

    """
    if dependency is not None and not callable(dependency):
        raise InvalidInput(f"Depends({dependency!r}): expected a function")

    if scope not in ("run", "worker"):
        raise InvalidInput(f'scope={scope!r}: expected "run" or "worker"')

    return Dependency(dependency, use_cache, scope)


def dependencies_of(func: Callable[..., Any]) -> Iterator[tuple[inspect.Parameter, Dependency]]:
    """The parameters of a function that have a dependency.

    Raises:
        InvalidFunction: the annotation of one cannot be resolved, or asks for something of a web request.

    """
    for parameter in _parameters(func):
        annotation = _annotation(func, parameter)
        marks = get_args(annotation)[1:] if get_origin(annotation) is Annotated else ()
        found = [each for each in map(_read, (parameter.default, *reversed(marks))) if each is not None]

        if not found:
            continue

        mark = found[0]

        if mark.dependency is None:
            kind = get_args(annotation)[0] if marks else annotation

            if not callable(kind) or kind is inspect.Parameter.empty:
                raise InvalidFunction(
                    f"parameter {parameter.name}: Depends() without a function wants an annotated class"
                )

            mark = Dependency(kind, mark.use_cache, mark.scope)

        yield parameter, mark


def of_request(func: Callable[..., Any], parameter: inspect.Parameter) -> str:
    """What of a web request a parameter asks for, such as "fastapi.Request"; "" if it asks for nothing of it."""
    annotation = _annotation(func, parameter)
    marks = get_args(annotation)[1:] if get_origin(annotation) is Annotated else ()
    kind = get_args(annotation)[0] if marks else annotation

    for each in (kind, parameter.default, *marks):
        asked = each if isinstance(each, type) else type(each)

        if f"{asked.__module__}.".startswith(_OF_REQUESTS) and _read(each) is None:
            return f"{asked.__module__.partition('.')[0]}.{asked.__qualname__}"

    return ""


def _parameters(func: Callable[..., Any]) -> list[inspect.Parameter]:
    try:
        return list(inspect.signature(func).parameters.values())
    except (ValueError, TypeError):  # one that is written in C
        return []


def _annotation(func: Callable[..., Any], parameter: inspect.Parameter) -> Any:
    """An annotation, evaluated if it is a text. One that cannot be resolved concerns only who asks for Depends."""
    text = parameter.annotation

    if not isinstance(text, str):
        return text

    # Names mean what they mean in the module of the function itself, and not in that of a decorator.
    module = sys.modules.get(getattr(func, "__module__", ""))
    names = getattr(inspect.unwrap(func), "__globals__", None) or (vars(module) if module else {})

    try:
        return eval(text, names)  # noqa: S307 - the annotation of the application's own function
    except Exception as error:
        if "Depends" in text:
            raise InvalidFunction(
                f"parameter {parameter.name}: its annotation {text!r} cannot be resolved: {error}"
            ) from error

        return text


def _read(mark: object) -> Dependency | None:
    """A mark as aioq's own; None: it is none. FastAPI's is known only where FastAPI was imported."""
    if isinstance(mark, Dependency):
        return mark

    fastapi = sys.modules.get("fastapi.params")

    if fastapi is None or not isinstance(mark, fastapi.Depends):
        return None

    if isinstance(mark, fastapi.Security):
        raise InvalidFunction("Security of FastAPI is for requests, and a job has none")

    return Dependency(mark.dependency, mark.use_cache)
