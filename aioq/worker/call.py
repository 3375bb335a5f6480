"""Caller: one call of a user's function for each run, from the claim to the outcome.

It touches no server, unless the function takes results of other jobs.
"""

from __future__ import annotations

import asyncio
import inspect
import math
from collections.abc import AsyncIterable, Awaitable, Sequence
from functools import partial
from typing import Any

from anyio import CapacityLimiter, to_thread

from aioq.client.context import CurrentJob
from aioq.client.plain import not_awaited
from aioq.client.waits import current
from aioq.values.allowlist import Allowlist
from aioq.values.errors import InvalidFunction, NotAwaited, PayloadTooLarge, ServerUnreachable
from aioq.values.options import PROCESS, THREAD
from aioq.values.outcome import Finished, Outcome
from aioq.values.reference import COROUTINE, GENERATOR, PLAIN, Function, Kind
from aioq.values.repeat import MARK
from aioq.values.resolving import resolve
from aioq.values.result_of import MARK as TAKES
from aioq.values.retry import Retry
from aioq.worker.callbacks import FollowedJob, called_with, followed_job
from aioq.worker.dependencies import NO_OVERRIDES, Dependencies, Overrides
from aioq.worker.failure import outcome_of_end, outcome_of_error
from aioq.worker.forks import end_fork, forks
from aioq.worker.imports import Imports
from aioq.worker.middleware import RunMiddleware, run_through
from aioq.worker.processes import Packed, Processes
from aioq.worker.run import Cause, Run, StartClock
from aioq.worker.series import check_series, in_series
from aioq.worker.settings import ProcessLimits
from aioq.worker.taking import read_taken, with_results
from aioq.worker.telling import Telling
from aioq.worker.threads import ThreadCall
from aioq.worker.webhook_settings import Message, WebhookSettings

#: The most bytes of a result. A server takes no larger value (its proto-max-bulk-len, if nobody has changed it):
#: it ends the connection, and with it the call that would record other jobs, too.
MAX_RESULT_BYTES = 536_870_912


class Caller:
    """Calls the functions of jobs: coroutine functions on the event loop, plain ones on threads or in processes.

    Args:
        threads: how many threads plain functions may use.
        result_ttl_ms: how long results of jobs without a result_ttl are kept.
        allow: the functions that may be run; None: all.
        job_processes: the processes that jobs with executor="process" may use.
        default: where plain functions run whose job and queue do not say.
        telling: hears of runs that begin, for the log.
        middleware: what runs around each call, the outermost first.
        process_lifespan: the name of what each process enters at its beginning; None: nothing.
        overrides: functions that are called in the place of dependencies.
        webhooks: how webhooks are sent.

    """

    def __init__(
        self,
        threads: int,
        result_ttl_ms: int,
        allow: Allowlist | None = None,
        job_processes: ProcessLimits = ProcessLimits(),  # noqa: B008 - it is frozen
        default: str = THREAD,
        telling: Telling | None = None,
        middleware: Sequence[RunMiddleware] = (),
        process_lifespan: str | None = None,
        overrides: Overrides = NO_OVERRIDES,
        webhooks: WebhookSettings = WebhookSettings(),  # noqa: B008 - it is frozen
    ) -> None:
        self._threads = CapacityLimiter(threads)
        self._result_ttl_ms = result_ttl_ms
        self._dependencies = Dependencies(self._threads)
        self._imports = Imports(resolve if allow is None else allow.resolve, overrides)
        self._processes = Processes(job_processes, process_lifespan)
        self._middleware = middleware
        self._default = default
        self._telling = telling or Telling()
        self._webhooks = webhooks

    async def carry_out(self, run: Run, start_clock: StartClock) -> Outcome | None:
        """The life of a run: its function is found and called, and the outcome is decided.

        Args:
            run: the run.
            start_clock: called with the run when its time begins; again, when it has waited for a process.

        """
        record = run.claim.record

        try:
            start_clock(run)
            job = (
                followed_job(record, run.store)
                if run.is_callback
                else CurrentJob(record, run.store, fence=run.claim.fence)
            )
            job.bind(asyncio.get_running_loop())
            current.set(job)

            if record.signer is not None:
                record.verify()

            func, kind = self._imports.known.get(record.func_name) or await self._import(run)
            run.found = True

            if b"opts" in record.fields and MARK in record.fields[b"opts"]:
                check_series(record)

            if self._middleware:
                call = partial(self._call, run, func, kind, start_clock)
                result = await run_through(self._middleware, job, call)
            else:
                result = await self._call(run, func, kind, start_clock)

            if forks.in_fork:  # the job has forked here, and this is the fork
                end_fork(None)

            run.returned = run.cause is None  # a run that was ended and went on has not done its work

            return self._outcome(run, result)
        except BaseException as error:  # noqa: BLE001 - SystemExit too: whatever a job raises is its own failure
            if forks.in_fork:
                end_fork(error)

            return outcome_of_error(run, error)
        finally:
            current.set(None)

    async def close(self) -> None:
        """No run will come any more: end the processes of jobs."""
        self._imports.close()
        await self._processes.close()
        await self._dependencies.aclose()

    async def _import(self, run: Run) -> tuple[Function, Kind]:
        """Find a function for the first time. How long a run took is counted without the import."""
        run.taken_at = run.taken_at or run.started_at
        known = await self._imports.find(run.claim.record.func_name)
        run.started_at = asyncio.get_running_loop().time()

        return known

    def _call(self, run: Run, func: Function, kind: Kind, start_clock: StartClock) -> Awaitable[Any]:
        """Call the function of a run as its kind is called. What it returns brings the result when it is awaited.

        It is no coroutine function: a coroutine more would be one more to pass at each step of each job.
        """
        record = run.claim.record

        has_options = b"opts" in record.fields

        if has_options and TAKES in record.fields[b"opts"] and run.taken is None:
            return self._call_taking(run, func, kind, start_clock)

        if (has_options or self._default == PROCESS) and self._is_for_process(run, kind):
            return self._call_in_process(run, start_clock)

        instance, args, kwargs = record.call()

        if run.taken is not None:
            args, kwargs = with_results(run.taken, args, kwargs)

        if run.is_callback:
            job = current.get()
            assert isinstance(job, FollowedJob)
            args = (
                (Message(record, run.store.queue, self._webhooks), *args)
                if job.is_webhook
                else called_with(job, func, instance, args, kwargs)
            )
        elif instance is not None:
            args = (instance, *args)

        run.begun = True

        if self._telling.jobs:
            self._telling.began(run)

        if kind == COROUTINE:
            coroutine: Awaitable[Any] = func(*args, **kwargs)

            return coroutine

        if kind == GENERATOR:
            return _gathered(func(*args, **kwargs))

        if kind == PLAIN:
            return self._call_on_thread(run, ThreadCall(func, args, kwargs))

        own_kind, needs = self._imports.injected[record.func_name]

        return self._dependencies.call(needs, args, kwargs, partial(self._call_given, run, func, own_kind, args))

    async def _call_taking(self, run: Run, func: Function, kind: Kind, start_clock: StartClock) -> Any:
        """Call a function that takes results of other jobs, once these were read."""
        try:
            run.taken = await read_taken(run.claim.record, run.store)
        except ServerUnreachable:
            run.cause = run.cause or Cause.INTERRUPTED  # it has not begun, so another worker can begin it

            raise

        return await self._call(run, func, kind, start_clock)

    def _call_given(
        self, run: Run, func: Function, kind: Kind, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Awaitable[Any]:
        """Call a function whose dependencies are among its keyword arguments now."""
        if kind == PLAIN:
            return self._call_on_thread(run, ThreadCall(func, args, kwargs))

        called: Awaitable[Any] = func(*args, **kwargs) if kind == COROUTINE else _gathered(func(*args, **kwargs))

        return called

    async def _call_on_thread(self, run: Run, call: ThreadCall) -> Any:
        run.thread_call = call
        result = await to_thread.run_sync(call, abandon_on_cancel=True, limiter=self._threads)

        if call.dropped:  # it has done its work otherwise, and would do the same again
            run.returned = run.cause is None

            raise NotAwaited(not_awaited(call.dropped))

        # A plain function may still return something to await, such as the coroutine of a lambda.
        return await result if inspect.isawaitable(result) else result

    def _is_for_process(self, run: Run, kind: Kind) -> bool:
        """Whether the function runs in a process. A default for that concerns plain functions alone.

        Raises:
            InvalidFunction: the job itself asks for a process, and its function is awaited.

        """
        record = run.claim.record

        if record.executor == PROCESS and kind != PLAIN:
            raise InvalidFunction(
                f'{record.func_name} is awaited or has dependencies, and executor="process" is for plain functions'
                " without any. Leave the option away"
            )

        if kind != PLAIN or run.is_callback:  # a callback may change its job, and a process has no server
            return False

        return (record.executor or record.default_executor or self._default) == PROCESS

    async def _call_in_process(self, run: Run, start_clock: StartClock) -> Packed | Retry:
        def begin() -> None:
            run.begun = True
            start_clock(run)

            if self._telling.jobs:
                self._telling.began(run)

        run.taken_at = run.taken_at or run.started_at
        run.deadline = math.inf  # its time begins when it has a process

        return await self._processes.run(run, begin)

    def _outcome(self, run: Run, result: Any) -> Outcome | None:
        """The outcome of a run whose function has returned.

        Raises:
            SerializationError, PayloadTooLarge: the result cannot be kept.

        """
        if run.cause is not None and run.cause is not Cause.INTERRUPTED:  # it swallowed the cancellation
            return outcome_of_end(run)

        record = run.claim.record
        own_ttl = record.result_ttl_ms

        if isinstance(result, Packed):
            packed = result.data
        elif isinstance(result, Retry):
            run.returned = False  # its work is not done yet

            return outcome_of_error(run, result)
        else:  # what a callback returns is of no use to anyone, and need not be one that can be kept
            packed = record.pack_result(None if run.is_callback else result)

        if record.signer is not None:
            packed = record.seal(b"result", packed)

        if len(packed) > MAX_RESULT_BYTES:
            raise PayloadTooLarge(
                f"the result of {record.func_name} has {len(packed)} bytes; the limit is {MAX_RESULT_BYTES}."
                " Store it elsewhere, and return a reference to it"
            )

        ttl_ms = self._result_ttl_ms if own_ttl is None else own_ttl
        outcome = Finished(packed, ttl_ms, b"" if ttl_ms else record.seal(b"result", b""))

        if b"opts" in record.fields and MARK in record.fields[b"opts"]:
            return in_series(run, outcome)

        return outcome


async def _gathered(items: AsyncIterable[Any]) -> list[Any]:
    return [item async for item in items]
