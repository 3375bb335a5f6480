"""Middleware of a worker: what runs around the call of each job's function, within its timeout."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeAlias

from aioq.client.context import CurrentJob
from aioq.values.errors import InvalidJobOperation

#: Goes on: to the next middleware, and at last to the job's function. It brings what that returns.
RunNext: TypeAlias = Callable[[], Awaitable[Any]]

#: What a Worker is given: it is awaited with the job of each run, and gives the result of the run.
RunMiddleware: TypeAlias = Callable[[CurrentJob, RunNext], Awaitable[Any]]


def run_through(middleware: Sequence[RunMiddleware], job: CurrentJob, call: RunNext) -> Awaitable[Any]:
    """Call a job's function through the middleware of its worker.

    Args:
        middleware: the outermost first.
        job: the job that runs.
        call: calls its function.

    """
    through = _once(call)

    for each in reversed(middleware):
        through = _before(each, job, through)

    return through()


def _before(middleware: RunMiddleware, job: CurrentJob, following: RunNext) -> RunNext:
    return lambda: middleware(job, following)


def _once(call: RunNext) -> RunNext:
    """The call, for one time: what a run does twice must be two runs, with an attempt for each."""
    was_called = False

    def called() -> Awaitable[Any]:
        nonlocal was_called

        if was_called:
            raise InvalidJobOperation(
                "a middleware has called call_next() twice. A function is called once in a run; raise Retry to run"
                " the job again"
            )

        was_called = True

        return call()

    return called
