"""Exception handlers: functions of the user's that hear of each attempt that has failed.

They are called beside the runs, when the outcome is on its way to the server: nothing that they do changes it,
holds a slot, or ends the worker.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextvars import copy_context
from types import TracebackType
from typing import TypeAlias

from anyio import CapacityLimiter, to_thread

from aioq.client.context import CurrentJob
from aioq.client.waits import current
from aioq.values.errors import InvalidInput
from aioq.values.numbers import count
from aioq.values.outcome import Failed, Outcome, Retried
from aioq.worker.run import Run, attributes
from aioq.worker.tracebacks import user_traceback

log = logging.getLogger("aioq.worker")

#: RQ's form: it is called with the job, and the class, value and traceback of the exception. If it returns False,
#: the handlers behind it are not called.
ExceptionHandler: TypeAlias = Callable[
    [CurrentJob, type[BaseException], BaseException, TracebackType | None], Awaitable[bool | None] | bool | None
]

#: How long the handlers may take for one failure, in seconds.
HANDLERS_TIMEOUT_S = 60.0

#: For how many failures handlers run at once, and for how many more they may wait. Others are left out.
AT_ONCE = 20
WAITING = 1_000

#: How often the log says that failures were left out, in seconds.
LEFT_OUT_PAUSE_S = 10.0

_FORM = "a function of the form `def name(job, exc_type, exc_value, traceback)`; it may be a coroutine function"


def check_exception_handlers(given: object) -> tuple[ExceptionHandler, ...]:
    """Exception handlers as a user has given them: one, or several.

    Raises:
        InvalidInput: one of them cannot be called with four arguments.

    """
    listed = tuple(given) if isinstance(given, Iterable) and not isinstance(given, str | bytes) else (given,)

    for place, each in enumerate(listed):
        if not callable(each):
            raise InvalidInput(f"exception_handlers[{place}]={each!r}: expected {_FORM}")

        try:
            inspect.signature(each).bind(None, None, None, None)
        except TypeError:
            raise InvalidInput(
                f"exception_handlers[{place}]={each!r}: it does not take four arguments; expected {_FORM}"
            ) from None
        except ValueError:  # one that is written in C
            continue

    return listed


class ExceptionHandlers:
    """Calls exception handlers, in their order, for each run that has failed.

    Args:
        handlers: the functions.
        report: hears of each run that is over before they do.

    """

    def __init__(
        self, handlers: Sequence[ExceptionHandler], report: Callable[[Run, Outcome | None], None]
    ) -> None:
        self._handlers = handlers
        self._report = report
        self._slots = asyncio.Semaphore(AT_ONCE)
        self._threads = CapacityLimiter(AT_ONCE)
        self._tasks: set[asyncio.Task[None]] = set()
        self._context = copy_context()
        self._left_out = 0
        self._tell_after = 0.0

    def report(self, run: Run, outcome: Outcome | None) -> None:
        """A run is over."""
        error = run.error
        self._report(run, outcome)

        if error is None or not isinstance(outcome, Failed | Retried):
            return

        if len(self._tasks) >= AT_ONCE + WAITING:
            self._leave_out()

            return

        task = asyncio.Task(
            self._handle(run, error), loop=asyncio.get_running_loop(), context=self._context.copy()
        )
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def close(self, timeout: float) -> None:  # noqa: ASYNC109 - it cancels nothing before
        """No run will come any more: wait for the handlers that run, and cancel them after `timeout` seconds."""
        if self._left_out:
            self._tell_of_left_out()

        if not self._tasks:
            return

        _, late = await asyncio.wait(self._tasks, timeout=timeout)

        for task in late:
            task.cancel()

        if late:
            log.warning("exception handlers have not ended for %s, and are cancelled", count(len(late), "failure"))
            await asyncio.wait(late, timeout=1)

    async def _handle(self, run: Run, error: BaseException) -> None:
        job = CurrentJob(run.claim.record, run.store, fence=run.claim.fence)
        job.bind(asyncio.get_running_loop())
        current.set(job)

        async with self._slots:
            try:
                async with asyncio.timeout(HANDLERS_TIMEOUT_S):
                    for handler in self._handlers:
                        returned = await self._call(handler, run, job, error)

                        if returned is not None and not returned:
                            return
            except TimeoutError:
                log.error(  # noqa: TRY400 - where it stood says nothing
                    "the exception handlers of %s have not ended within %g s, and are cancelled",
                    run.named,
                    HANDLERS_TIMEOUT_S,
                    extra=attributes(run),
                )

    async def _call(self, handler: ExceptionHandler, run: Run, job: CurrentJob, error: BaseException) -> object:
        """What the handler returns; None if it fails: then the next one is called."""
        arguments = job, type(error), error, user_traceback(error)

        try:
            if inspect.iscoroutinefunction(handler):
                returned: object = handler(*arguments)
            else:
                returned = await to_thread.run_sync(
                    lambda: handler(*arguments), limiter=self._threads, abandon_on_cancel=True
                )

            return await returned if inspect.isawaitable(returned) else returned
        except BaseException as raised:
            task = asyncio.current_task()

            if isinstance(raised, asyncio.CancelledError) and task is not None and task.cancelling():
                raise  # the time is over, or the worker ends

            self._tell(handler, run, raised)

            return None

    def _tell(self, handler: ExceptionHandler, run: Run, raised: BaseException) -> None:
        log.error(
            "the exception handler %s has failed for %s",
            getattr(handler, "__qualname__", None) or repr(handler),
            run.named,
            exc_info=raised,
            extra=attributes(run),
        )

    def _leave_out(self) -> None:
        self._left_out += 1
        now = asyncio.get_running_loop().time()

        if now >= self._tell_after:
            self._tell_after = now + LEFT_OUT_PAUSE_S
            self._tell_of_left_out()

    def _tell_of_left_out(self) -> None:
        log.warning(
            "exception handlers were not called for %s: %d wait for theirs already",
            count(self._left_out, "failure"),
            len(self._tasks),
        )
        self._left_out = 0
