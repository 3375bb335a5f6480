"""Enqueued: which jobs wait in the queues of a test, and whether a certain one is among them."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from aioq.client.job import Job
from aioq.client.parts import part_of
from aioq.client.queue import Queue
from aioq.client.task import Task
from aioq.testing.namespace import Namespace
from aioq.values.calltext import call_text
from aioq.values.durations import Duration, positive_ms
from aioq.values.errors import InvalidFunction, InvalidInput
from aioq.values.reference import refer

#: How many jobs an error names.
JOBS_NAMED = 20


@dataclass(frozen=True, slots=True)
class Expected:
    """A job that a test asks for.

    Args:
        name: the dotted name of its function.
        signature: what the function accepts; None if that is not known here.
        args, kwargs: arguments that it was called with, perhaps among others.
        within: it must be due within this time; None: at any time.
        queue: the name of its queue; None: any.

    """

    name: str
    signature: inspect.Signature | None
    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]
    within: timedelta | None
    queue: str | None

    @classmethod
    def of(
        cls,
        func: Callable[..., Any] | str,
        args: tuple[Any, ...],
        kwargs: Mapping[str, Any],
        within: Duration | None,
        queue: Queue | str | None,
    ) -> Expected:
        """A job as a test describes it.

        Raises:
            InvalidFunction: no worker could import the function, or it does not take these arguments.
            InvalidInput: `within` is no duration, or negative.

        """
        reference, _ = refer(func.function if isinstance(func, Task) else func)
        name = queue.name if isinstance(queue, Queue) else queue
        time = None if within is None else timedelta(milliseconds=positive_ms(within, "within"))

        if reference.signature is not None:
            try:
                reference.signature.bind_partial(*args, **kwargs)
            except TypeError as error:
                raise InvalidFunction(f"{reference.name}: no job has such arguments: {error}") from None

        return cls(reference.name, reference.signature, args, kwargs, time, name)

    def matches(self, job: Job[Any], now: datetime) -> bool:
        """Whether a job is one like this."""
        if job.func_name != self.name or self.queue not in (None, job.origin):
            return False

        due = job.scheduled_at if job.is_scheduled else None

        if self.within is not None and due is not None and due > now + self.within:
            return False

        return (not self.args and not self.kwargs) or self._has_arguments(job)

    def _has_arguments(self, job: Job[Any]) -> bool:
        if self.signature is None:
            return job.args[: len(self.args)] == self.args and _has(job.kwargs, self.kwargs)

        try:
            given = self.signature.bind(*job.args, **job.kwargs)
        except TypeError:  # it was enqueued by its name, and will fail
            return False

        given.apply_defaults()

        for name, value in self.signature.bind_partial(*self.args, **self.kwargs).arguments.items():
            kind, actual = self.signature.parameters[name].kind, given.arguments[name]

            if kind is inspect.Parameter.VAR_KEYWORD:
                fits = _has(actual, value)
            elif kind is inspect.Parameter.VAR_POSITIONAL:
                fits = actual[: len(value)] == value
            else:
                fits = actual == value

            if not fits:
                return False

        return True

    def __str__(self) -> str:
        arguments = [*map(repr, self.args), *(f"{name}={value!r}" for name, value in self.kwargs.items())]
        queue = "" if self.queue is None else f" in queue {self.queue}"
        within = "" if self.within is None else f" within {self.within}"

        return f"{self.name}({', '.join(arguments) if arguments else '…'}){queue}{within}"


@part_of("TestKit")
class Enqueued(Namespace):
    """The part of a kit that tells which jobs wait."""

    async def assert_enqueued(
        self,
        func: Callable[..., Any] | str,
        /,
        *args: Any,
        within: Duration | None = None,
        queue: Queue | str | None = None,
        **kwargs: Any,
    ) -> Job[Any]:
        """Fail unless a job waits, queued or scheduled.

        Args:
            func: the function of the job.
            *args: arguments that it was given. Others of its arguments may have any values.
            **kwargs: as args.
            within: it is due within this time (default: at any time).
            queue: its queue (default: any of this namespace).

        Returns:
            The job; the first one if there are several.

        Raises:
            AssertionError: no such job waits. The text has those that do.
            InvalidInput: the function does not take these arguments, say.

        Example:
            >>> await kit.assert_enqueued(send_mail, "ann", within="1h")  # doctest: +SKIP

        """
        __tracebackhide__ = True
        expected, found, jobs, now = await self._search(func, args, kwargs, within, queue)

        if not found:
            raise AssertionError(f"not enqueued: {expected}. {listed(jobs, now)}")

        return found[0]

    async def refute_enqueued(
        self,
        func: Callable[..., Any] | str,
        /,
        *args: Any,
        within: Duration | None = None,
        queue: Queue | str | None = None,
        **kwargs: Any,
    ) -> None:
        """Fail if such a job waits; the arguments are those of `assert_enqueued`.

        Raises:
            AssertionError: it does. The text has those that wait.

        Example:
            >>> await kit.refute_enqueued(send_mail)  # doctest: +SKIP

        """
        __tracebackhide__ = True
        expected, found, jobs, now = await self._search(func, args, kwargs, within, queue)

        if found:
            raise AssertionError(f"enqueued: {expected}. {listed(jobs, now)}")

    async def _search(
        self,
        func: Callable[..., Any] | str,
        args: tuple[Any, ...],
        kwargs: Mapping[str, Any],
        within: Duration | None,
        queue: Queue | str | None,
    ) -> tuple[Expected, list[Job[Any]], list[Job[Any]], datetime]:
        """What is looked for, the jobs that are so, all that wait, and the time."""
        check_queue(queue)
        expected = Expected.of(func, args, kwargs, within, queue)
        now = await self.now()
        jobs = await waiting_jobs([self.queue(name) for name in await self._names()])

        return expected, [job for job in jobs if expected.matches(job, now)], jobs, now


async def waiting_jobs(queues: Iterable[Queue]) -> list[Job[Any]]:
    """The jobs that wait: those that are queued, then those that are scheduled, of one queue after the other."""
    found: list[Job[Any]] = []

    for queue in queues:
        found += await queue.jobs()
        found += await queue.scheduled_job_registry.jobs()

    return found


def listed(jobs: list[Job[Any]], now: datetime) -> str:
    """Jobs that wait, one in a line, as an error shows them."""
    if not jobs:
        return "No job waits."

    lines = [f"{len(jobs)} waiting:"]

    for job in jobs[:JOBS_NAMED]:
        due = job.scheduled_at if job.is_scheduled else None
        at = "" if due is None else f", due in {_left(due, now)}"
        lines.append(f"  {call_text(job.record)} (queue {job.origin}{at})")

    if len(jobs) > JOBS_NAMED:
        lines.append("  …")

    return "\n".join(lines)


def check_queue(queue: object) -> None:
    """Refuse what names no queue.

    Raises:
        InvalidInput: it says what was expected.

    """
    if not isinstance(queue, Queue | str | None):
        raise InvalidInput(f"queue={queue!r}: expected a Queue or the name of one")


def _left(due: datetime, now: datetime) -> timedelta:
    return timedelta(seconds=max(0, round((due - now).total_seconds())))


def _has(actual: Mapping[str, Any], expected: Mapping[str, Any]) -> bool:
    return all(name in actual and actual[name] == value for name, value in expected.items())
