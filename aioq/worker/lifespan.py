"""Lifespan: what a worker opens before its first claim and closes after its last run, such as a pool."""

from __future__ import annotations

import asyncio
import inspect
import traceback
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from types import TracebackType
from typing import Any, TypeAlias

from aioq.client.context import resources
from aioq.values.errors import InvalidInput, WorkerError
from aioq.worker.hooks import Hooks
from aioq.worker.tracebacks import error_line, user_traceback

#: What a worker is given: it is called with the worker, or with nothing if it takes nothing.
LifespanFunction: TypeAlias = (
    Callable[[Any], AbstractAsyncContextManager[Any] | AsyncIterator[Any]]
    | Callable[[], AbstractAsyncContextManager[Any] | AsyncIterator[Any]]
)

_EXPECTED = "expected a function with @asynccontextmanager, which yields once"

#: What contextlib says of a generator that is no lifespan.
_WRONG_YIELDS = {
    "generator didn't yield": "it has ended without a yield; expected one yield, at which the worker runs",
    "generator didn't stop": "it has yielded twice; expected one yield, at which the worker runs",
}


def check_lifespan(function: object) -> Callable[..., Any] | None:
    """The lifespan that a worker was given.

    Raises:
        InvalidInput: it cannot be called.

    """
    if function is not None and not callable(function):
        raise InvalidInput(f"lifespan={function!r}: {_EXPECTED}")

    return asynccontextmanager(function) if inspect.isasyncgenfunction(function) else function


class Lifespan:
    """The lifespan of one run of a worker. Entering it says whether the worker may begin.

    Args:
        function: makes the context manager; None: there is nothing to open.
        hooks: called inside of it.
        worker: what the function is called with.
        is_stopped: whether a stop was asked for before.

    """

    def __init__(
        self, function: Callable[..., Any] | None, hooks: Hooks, worker: object, *, is_stopped: bool
    ) -> None:
        self._function = function
        self._hooks = hooks
        self._worker = worker
        self._is_stopped = is_stopped
        self._manager: AbstractAsyncContextManager[Any] | None = None
        self._start: asyncio.Timeout | None = None

    def stop(self) -> None:
        """A stop was asked for: a start that is under way is cancelled."""
        self._is_stopped = True

        if self._start is not None:
            self._start.reschedule(asyncio.get_running_loop().time())

    async def __aenter__(self) -> bool:
        """Open what the lifespan opens. False: a stop was asked for, and nothing is open.

        Raises:
            WorkerError: the lifespan or a hook has failed.

        """
        if self._is_stopped:
            return False

        # No cancel scope of anyio: what the lifespan enters stays entered when this one is left.
        self._start = asyncio.timeout(None)
        manager = self._opened()

        try:
            async with self._start:
                await manager.__aenter__()
        except WorkerError:
            raise
        except Exception as error:
            if isinstance(error, TimeoutError) and self._start.expired():
                return False

            raise self._failed("start", _what(error)) from error
        finally:
            self._start = None

        self._manager = manager

        return True

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close what is open. An error of the worker is not swallowed, whatever the lifespan does with it.

        Raises:
            WorkerError: the lifespan or a hook has failed.

        """
        if self._manager is None:
            return

        try:
            await self._manager.__aexit__(kind, error, trace)
        except WorkerError:
            raise
        except Exception as raised:
            if raised is not error:
                raise self._failed("end", _what(raised)) from raised

    @asynccontextmanager
    async def _opened(self) -> AsyncIterator[None]:
        """All that is open while the worker serves: the lifespan, and the hooks inside of it."""
        if self._function is None:
            async with self._hooked():
                yield

            return

        async with self._made(self._function) as value:
            token = resources.set(value)

            try:
                async with self._hooked():
                    yield
            finally:
                resources.reset(token)

    @asynccontextmanager
    async def _hooked(self) -> AsyncIterator[None]:
        await self._hooks.start(self._worker)

        try:
            yield
        finally:
            await self._hooks.stop(self._worker)

    def _made(self, function: Callable[..., Any]) -> AbstractAsyncContextManager[Any]:
        made = function(self._worker) if _takes_worker(function) else function()

        if not isinstance(made, AbstractAsyncContextManager):
            if inspect.iscoroutine(made):
                made.close()

            raise self._failed("start", f"it has returned {type(made).__name__}; {_EXPECTED}")

        return made

    def _failed(self, when: str, what: str) -> WorkerError:
        name = getattr(self._function, "__qualname__", None)

        return WorkerError(
            f"lifespan {f'{self._function.__module__}.{name}' if name else repr(self._function)} has failed at its"
            f" {when}: {what}"
        )


def _takes_worker(function: Callable[..., Any]) -> bool:
    try:
        inspect.signature(function).bind(None)
    except TypeError:
        return False
    except ValueError:  # one that is written in C
        return True

    return True


def _what(error: Exception) -> str:
    """What has gone wrong, and where."""
    wrong = _WRONG_YIELDS.get(str(error)) if isinstance(error, RuntimeError) else None

    return wrong or f"{error_line(error)}{_place(error)}"


def _place(error: Exception) -> str:
    """The line of the user's that an error has come from."""
    steps = [step for step in traceback.extract_tb(user_traceback(error)) if "contextlib.py" not in step.filename]

    return f" ({steps[-1].filename}, line {steps[-1].lineno})" if steps else ""
