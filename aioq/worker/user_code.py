"""User code: what a worker is given to run around its jobs, and around its own life."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from aioq.values.middleware import check_middleware
from aioq.worker.exception_handlers import ExceptionHandler, check_exception_handlers
from aioq.worker.hooks import Hooks, WorkerHook, check_hooks
from aioq.worker.lifespan import LifespanFunction, check_lifespan
from aioq.worker.middleware import RunMiddleware
from aioq.worker.process_lifespan import check_process_lifespan

#: What processes of jobs enter: a function of a module, or its name.
ProcessLifespan: TypeAlias = Callable[[], AbstractContextManager[Any]] | str


@dataclass(frozen=True, slots=True)
class UserCode:
    """What is run beside the functions of jobs.

    Args:
        lifespan: is open while the worker serves.
        hooks: are called inside of it.
        middleware: runs around each run, the outermost first.
        exception_handlers: hear of each attempt that has failed.
        process_lifespan: the name of what each process of jobs enters.

    """

    lifespan: Callable[..., Any] | None = None
    hooks: Hooks = field(default_factory=Hooks)
    middleware: tuple[RunMiddleware, ...] = ()
    exception_handlers: tuple[ExceptionHandler, ...] = ()
    process_lifespan: str | None = None

    @classmethod
    def read(
        cls,
        lifespan: LifespanFunction | None,
        on_startup: Iterable[WorkerHook],
        on_shutdown: Iterable[WorkerHook],
        middleware: Iterable[RunMiddleware],
        exception_handlers: Iterable[ExceptionHandler] | ExceptionHandler,
        process_lifespan: ProcessLifespan | None,
    ) -> UserCode:
        """What a user has given to a Worker, checked. Raises InvalidInput."""
        return cls(
            check_lifespan(lifespan),
            Hooks(check_hooks(on_startup, "on_startup"), check_hooks(on_shutdown, "on_shutdown")),
            check_middleware(middleware, "job"),
            check_exception_handlers(exception_handlers),
            check_process_lifespan(process_lifespan),
        )
