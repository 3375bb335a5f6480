"""Calls in plain functions, where nothing can be awaited: a call that is dropped there is reported, not lost."""

from __future__ import annotations

import asyncio
import inspect
import sys
from collections.abc import Callable, Coroutine, Generator
from contextvars import ContextVar
from functools import wraps
from typing import Any, NoReturn, TypeVar, cast

from aioq.store.net.per_loop import running_loop

C = TypeVar("C", bound=Callable[..., Coroutine[Any, Any, Any]])
T = TypeVar("T")

_FIX = (
    "Use current_job or Queue of aioq.sync, whose calls are plain; or write asyncio.run(…) around it; or use async"
    " def"
)

#: In a plain function that a worker runs: the calls that were never awaited, as texts.
dropped: ContextVar[list[str] | None] = ContextVar("aioq_dropped", default=None)


class Call(Coroutine[Any, Any, T]):
    """A call that was made where no event loop runs. It can be awaited for its value.

    Args:
        coroutine: does the work.
        name: of the called method.
        told: gets a text about the call if nobody has awaited it.

    """

    __slots__ = ("_coroutine", "_told", "_what")

    def __init__(self, coroutine: Coroutine[Any, Any, T], name: str, told: list[str]) -> None:
        place = sys._getframe(frames_to_user())  # noqa: SLF001 - the only way to it
        self._coroutine = coroutine
        self._told: list[str] | None = told
        self._what = f"{name}(…) in line {place.f_lineno} of {place.f_code.co_filename}"

    def send(self, value: Any) -> Any:
        return self._awaited().send(value)

    def throw(self, *error: Any) -> Any:
        return self._awaited().throw(*error)

    def close(self) -> None:
        self._awaited().close()

    def __await__(self) -> Generator[Any, Any, T]:
        return self._awaited().__await__()

    def __getattr__(self, name: str) -> NoReturn:
        if not name.startswith(("_", "cr_", "gi_")):  # asyncio asks for these
            self.close()

        raise AttributeError(f"{self._what} was not awaited, so there is no {name!r}. {_FIX}")

    def __bool__(self) -> NoReturn:
        self.close()

        raise TypeError(f"{self._what} was not awaited, so it is neither true nor false. {_FIX}")

    def __eq__(self, other: object) -> bool:
        if isinstance(other, Call):
            return self is other

        self.close()

        raise TypeError(f"{self._what} was not awaited, so it cannot be compared. {_FIX}")

    def __hash__(self) -> int:
        return object.__hash__(self)

    def __del__(self) -> None:
        if self._told is not None:
            self._told.append(self._what)
            self._awaited().close()

    def _awaited(self) -> Coroutine[Any, Any, T]:
        self._told = None

        return self._coroutine


class Done(Coroutine[Any, Any, None]):
    """A call that was carried out already. It may be awaited, any number of times."""

    __slots__ = ()

    def send(self, _: Any) -> NoReturn:
        raise StopIteration

    def throw(self, *error: Any) -> NoReturn:
        raise error[0]

    def close(self) -> None:
        pass

    def __await__(self) -> Generator[Any, Any, None]:
        return iter(())  # type: ignore[return-value]  # an empty iterator is all that `await` needs


DONE = Done()


def awaited(method: C) -> C:
    """Let a coroutine method report its calls in plain functions of jobs that nobody awaits."""

    @wraps(method)
    def call(*args: Any, **kwargs: Any) -> Coroutine[Any, Any, Any]:
        coroutine = method(*args, **kwargs)

        if running_loop() is None and (told := dropped.get()) is not None:
            return Call(coroutine, method.__qualname__.replace("._", "."), told)

        return coroutine

    if sys.version_info < (3, 12):  # `help` knows no mark of such a method, so the type that it shows says it
        shown = inspect.signature(method)
        vars(call)["__signature__"] = shown.replace(return_annotation=f"Awaitable[{shown.return_annotation}]")

    return coroutine_method(cast("C", call))


def coroutine_method(method: C) -> C:
    """Mark a method that returns a coroutine, so that mocks of it are awaited, too."""
    if sys.version_info >= (3, 12):
        return inspect.markcoroutinefunction(method)

    vars(method)["_is_coroutine"] = asyncio.coroutines._is_coroutine  # type: ignore[attr-defined]  # noqa: SLF001

    return method


def frames_to_user() -> int:
    """How many frames lie between the caller and the code that uses aioq."""
    frame, depth = sys._getframe(1), 0  # noqa: SLF001 - the only way to it

    while frame.f_back is not None and frame.f_globals.get("__name__", "").startswith("aioq."):
        frame, depth = frame.f_back, depth + 1

    return depth


def not_awaited(told: list[str]) -> str:
    """The text of an error, or of a note to one."""
    return f"called in a plain function and never awaited, so nothing was done: {', '.join(told)}. {_FIX}"
