"""Middleware of a queue: what calls go through on their way to the server."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from typing import Any, TypeAlias, Unpack

from aioq.client.call import Call
from aioq.client.job import Job
from aioq.values.errors import InvalidJobOperation
from aioq.values.metacheck import check_meta
from aioq.values.numbers import count
from aioq.values.options import Options, read_options
from aioq.values.record import JobRecord

#: Sends calls on: to the next middleware, and at last to the server.
EnqueueNext: TypeAlias = Callable[[Sequence["EnqueuedCall"]], Awaitable[list[Job[Any]]]]

#: What a Queue is given: it is awaited with the calls of one `enqueue…`, and gives their jobs.
EnqueueMiddleware: TypeAlias = Callable[[Sequence["EnqueuedCall"], EnqueueNext], Awaitable[list[Job[Any]]]]


class EnqueuedCall:
    """A call that is being enqueued, as a middleware sees it. It is checked, and nothing of it is written yet.

    It is not changed: `using` and `add_meta` give another one.
    """

    __slots__ = ("call",)

    def __init__(self, call: Call) -> None:
        self.call: Call = call

    @property
    def func_name(self) -> str:
        """The dotted name of the function."""
        return self.call.name

    @property
    def args(self) -> tuple[Any, ...]:
        """The arguments by position, as the worker will get them: a copy."""
        return JobRecord("", self.call.fields).call()[1]

    @property
    def kwargs(self) -> dict[str, Any]:
        """The arguments by name, as the worker will get them: a copy."""
        return JobRecord("", self.call.fields).call()[2]

    @property
    def meta(self) -> dict[str, Any]:
        """The meta that the job is to begin with."""
        return dict(self.call.options.meta or {})

    @property
    def options(self) -> dict[str, Any]:
        """The options that the caller or the task has given, in ms where they are durations."""
        return dict(vars(self.call.options))

    def using(self, **options: Unpack[Options]) -> EnqueuedCall:
        """The same call with other options over those that it has. Raises InvalidInput."""
        call = self.call

        return EnqueuedCall(replace(call, options=read_options(options).over(call.options)))

    def add_meta(self, **values: Any) -> EnqueuedCall:
        """The same call with further values of meta; those that it has already go first.

        Example:
            >>> call.add_meta(request_id="9f2c")  # doctest: +SKIP

        """
        return self.using(meta=check_meta(values | self.meta))

    def __repr__(self) -> str:
        return f"<EnqueuedCall of {self.func_name}>"


async def run_through(
    middleware: Sequence[EnqueueMiddleware],
    calls: Sequence[Call],
    enqueue: Callable[[Sequence[Call]], Awaitable[list[Job[Any]]]],
) -> list[Job[Any]]:
    """Put calls into a queue through its middleware.

    Args:
        middleware: the outermost first.
        calls: those of one `enqueue…`.
        enqueue: puts calls into the queue.

    Returns:
        Their jobs, as many as there are calls.

    Raises:
        InvalidJobOperation: the middleware has not brought a job for each call.
        BaseException: whatever a middleware or the enqueue raises.

    """

    async def innermost(sent: Sequence[EnqueuedCall]) -> list[Job[Any]]:
        return await enqueue([each.call for each in sent])

    through: EnqueueNext = innermost

    for each in reversed(middleware):
        through = _before(each, through)

    jobs = await through([EnqueuedCall(call) for call in calls])

    if not isinstance(jobs, list) or len(jobs) != len(calls) or not all(isinstance(job, Job) for job in jobs):
        raise InvalidJobOperation(
            f"the middleware of the queue has returned {len(jobs) if isinstance(jobs, list) else jobs!r} for"
            f" {count(len(calls), 'call')}; expected what"
            " `await call_next(calls)` returns, one job for each call"
        )

    return jobs


def _before(middleware: EnqueueMiddleware, following: EnqueueNext) -> EnqueueNext:
    return lambda calls: middleware(calls, following)
