"""Process lifespan: what each process for jobs opens before its first job and closes after its last one."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from contextlib import AbstractContextManager, contextmanager
from typing import Any

from aioq.values.errors import InvalidInput
from aioq.values.reference import refer
from aioq.values.resolving import resolve, split_spec

_EXPECTED = 'expected a function of a module with @contextmanager, or its name "module:name"'


def check_process_lifespan(given: object) -> str | None:
    """The name under which processes find what a worker was given: a dotted one.

    Raises:
        InvalidInput: it is no function that a process can import, or no plain one.

    """
    if given is None:
        return None

    if isinstance(given, str):
        return ".".join(split_spec(given, "process_lifespan"))

    if (
        not callable(given)
        or inspect.isasyncgenfunction(inspect.unwrap(given))
        or inspect.iscoroutinefunction(given)
    ):
        raise InvalidInput(f"process_lifespan={given!r}: {_EXPECTED}. No event loop runs in the processes of jobs")

    return refer(given)[0].name


def process_lifespan(name: str) -> AbstractContextManager[Any]:
    """What a process is to enter.

    Args:
        name: as `check_process_lifespan` has given it.

    Raises:
        InvalidInput: it makes no context manager.
        BaseException: whatever its module or the function raises.

    """
    function: Callable[[], Any] = resolve(name)
    made = contextmanager(function)() if inspect.isgeneratorfunction(function) else function()

    if not isinstance(made, AbstractContextManager):
        raise InvalidInput(f"it has returned {type(made).__name__}; {_EXPECTED}")

    return made
