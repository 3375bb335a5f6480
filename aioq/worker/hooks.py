"""Hooks: functions of the user's that are called when a worker starts and when it has run its last job."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import Any, TypeAlias

from aioq.values.errors import InvalidInput, WorkerError
from aioq.worker.tracebacks import error_line

log = logging.getLogger("aioq.worker")

#: It is called with the worker; what a coroutine function gives is awaited.
WorkerHook: TypeAlias = Callable[[Any], Awaitable[object] | object]


def check_hooks(given: object, name: str) -> tuple[WorkerHook, ...]:
    """Hooks as a user has given them: one, or several.

    Raises:
        InvalidInput: one of them cannot be called with a worker; `name` says in the text which hooks they are.

    """
    listed = tuple(given) if isinstance(given, Iterable) and not isinstance(given, str | bytes) else (given,)

    for place, each in enumerate(listed):
        if not _takes_worker(each):
            raise InvalidInput(
                f"{name}[{place}]={each!r}: expected a function that is called with the worker, such as"
                " `async def name(worker)`"
            )

    return listed


def _takes_worker(given: Any) -> bool:
    try:
        inspect.signature(given).bind(None)
    except TypeError:  # it is no function, or takes other arguments
        return False
    except ValueError:  # one that is written in C
        return callable(given)

    return True


@dataclass(frozen=True, slots=True)
class Hooks:
    """The hooks of a worker.

    Args:
        on_startup: called before the first claim.
        on_shutdown: called after the last run.

    """

    on_startup: tuple[WorkerHook, ...] = ()
    on_shutdown: tuple[WorkerHook, ...] = ()

    async def start(self, worker: object) -> None:
        """Call those of the start, in their order.

        Raises:
            WorkerError: one has failed; those behind it were not called.

        """
        for hook in self.on_startup:
            try:
                await _call(hook, worker)
            except Exception as error:
                raise _failed("on_startup", hook, error) from error

    async def stop(self, worker: object) -> None:
        """Call those of the end, in their order, each of them.

        Raises:
            WorkerError: one has failed; the log has each that has.

        """
        failed: WorkerError | None = None

        for hook in self.on_shutdown:
            try:
                await _call(hook, worker)
            except Exception as error:
                failed = _failed("on_shutdown", hook, error)
                failed.__cause__ = error
                log.exception("%s", failed)

        if failed is not None:
            raise failed


async def _call(hook: WorkerHook, worker: object) -> None:
    if inspect.isawaitable(returned := hook(worker)):
        await returned


def _failed(name: str, hook: WorkerHook, error: Exception) -> WorkerError:
    function = getattr(hook, "__qualname__", None)

    return WorkerError(
        f"{name} {f'{hook.__module__}.{function}' if function else repr(hook)} has failed: {error_line(error)}"
    )
