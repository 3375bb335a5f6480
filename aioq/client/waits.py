"""Waits: which job waits for the end of which other one. The worker finds waits there that cannot end."""

from __future__ import annotations

import time
from collections.abc import Coroutine
from contextvars import ContextVar
from typing import Any, NamedTuple, Protocol, TypeVar

from aioq.values.errors import InvalidJobOperation

T = TypeVar("T")

#: The job that this code runs in.
current: ContextVar[Subject | None] = ContextVar("aioq_current_job", default=None)


class Subject(Protocol):
    """A job, as far as waits are concerned."""

    @property
    def id(self) -> str: ...

    @property
    def origin(self) -> str | None: ...

    @property
    def func_name(self) -> str: ...

    @property
    def server(self) -> object: ...

    @property
    def is_started(self) -> bool: ...


class Wait(NamedTuple):
    """A job that waits for another one, since a moment of the monotonic clock."""

    waiter: Subject
    awaited: Subject
    since: float


#: The waits of this process, on all of its event loops and threads, each under a key of its own.
waits: dict[object, Wait] = {}


async def noted(waiter: Subject, awaited: Subject, wait: Coroutine[Any, Any, T]) -> T:
    """Wait, and let the worker know of it meanwhile.

    Args:
        waiter: the job in which this code runs.
        awaited: the job whose end it waits for.
        wait: the wait.

    Raises:
        InvalidJobOperation: a job waits for itself.

    """
    # The job that a callback follows does not run any more.
    is_same = waiter.is_started and (waiter.id, waiter.origin) == (awaited.id, awaited.origin)

    # A job in a process of its own knows no server.
    if is_same and waiter.server in (None, awaited.server):
        wait.close()

        raise InvalidJobOperation(
            f"job {awaited.id} waits for its own result, which there is only when its function has returned"
        )

    key = object()
    waits[key] = Wait(waiter, awaited, time.monotonic())

    try:
        return await wait
    finally:
        del waits[key]
