"""Executor: claims in, outcomes out. It runs users' code and touches no server.

Every job is one asyncio task; one timer serves the timeouts of all. The structure that anyio gives (task groups,
cancel scopes) costs five times that for each job, so it carries the worker's loops and not its jobs
(docs/design.md has the figures).
"""

from __future__ import annotations

import asyncio
import inspect
import logging
import math
import random
import sys
import time
from collections import deque
from collections.abc import Callable
from contextvars import copy_context
from functools import lru_cache
from typing import Any

from anyio import CapacityLimiter, to_thread

from aioq.client.context import CurrentJob
from aioq.client.plain import not_awaited
from aioq.client.waits import current
from aioq.store import Store
from aioq.values.allowlist import Allowlist
from aioq.values.claim import Claim
from aioq.values.durations import FOREVER, spelled
from aioq.values.errors import JobTimeout, NotAwaited, PayloadTooLarge
from aioq.values.options import PROCESS, THREAD
from aioq.values.outcome import Failed, Finished, Interrupted, Outcome, decide, is_final
from aioq.values.record import JobRecord
from aioq.values.reference import is_plain
from aioq.values.resolving import resolve
from aioq.values.retry import Retry, RetryRequested
from aioq.worker.ending import CANCEL_GRACE, Ending
from aioq.worker.failure import packed_failure
from aioq.worker.forks import forks, leave
from aioq.worker.imports import Imports
from aioq.worker.processes import Packed, Processes
from aioq.worker.run import Cause, Run
from aioq.worker.telling import Telling
from aioq.worker.threads import ThreadCall
from aioq.worker.tracebacks import error_text

log = logging.getLogger("aioq.worker")

#: The most bytes of a result. A server takes no value of more (its proto-max-bulk-len, if nobody has changed it):
#: it ends the connection, and with it the call that would record other jobs, too.
MAX_RESULT = 536_870_912

#: A run that was claimed ahead and could not begin within this time, in seconds, is given back.
PATIENCE = 0.1


class Executor:
    """Runs jobs side by side; those that come while all slots are taken wait for a moment.

    Args:
        concurrency: how many runs there may be; also how many threads plain functions may use.
        result_ttl_ms: how long results of jobs without a result_ttl are kept.
        ended: called when a run has ended, with its outcome; None: nothing is to be recorded.
        allow: the functions that may be run; None: all.
        job_processes: how many processes jobs with executor="process" may use.
        cancel_grace: how long a run may clean up that is ended from outside, in seconds.
        telling: hears of runs that begin and end, for the log.
        default: where plain functions run whose job and queue do not say.

    """

    def __init__(
        self,
        concurrency: int,
        result_ttl_ms: int,
        ended: Callable[[Run, Outcome | None], None],
        allow: Allowlist | None = None,
        job_processes: int = 1,
        cancel_grace: float = CANCEL_GRACE,
        telling: Telling | None = None,
        default: str = THREAD,
    ) -> None:
        self.ending = Ending(cancel_grace, self._settle_ended)
        self.concurrency = concurrency
        self.held: dict[Run, None] = {}
        self.running = 0
        self.ended = 0
        self.successful = 0
        self.failed = 0
        self._waiting: deque[Run] = deque()
        self._filling = False
        self._context = copy_context()
        self._review: asyncio.TimerHandle | None = None
        self._alarm: asyncio.TimerHandle | None = None
        self._alarm_at = math.inf
        self._result_ttl_ms = result_ttl_ms
        self._ended = ended
        self._imports = Imports(resolve if allow is None else allow.resolve)
        self._telling = telling or Telling()
        self._telling.finished = lambda: self.successful
        self._threads = CapacityLimiter(concurrency)
        self._default = default
        self._processes = Processes(job_processes, self._find_for_process)

    def take(self, store: Store, claim: Claim) -> Run:
        """Begin a run, or let it wait for a slot. Returns at once."""
        run = Run(store, claim)
        self.held[run] = None

        if self.running < self.concurrency:
            self._begin(run)
        else:
            run.taken_at = time.monotonic()
            self._waiting.append(run)
            self._review = self._review or asyncio.get_running_loop().call_later(PATIENCE, self._lose_patience)

        return run

    def give_back(self) -> None:
        """Let the jobs go that wait for a slot, or for a process."""
        while self._waiting:
            self.end(self._waiting.popleft(), Cause.INTERRUPTED)

        for run in list(self._processes.waiting):
            self.end(run, Cause.INTERRUPTED)

    def interrupt(self) -> None:
        """End all runs, so that their jobs go back."""
        self.ending.interrupt(list(self.held))

    async def cleaned_up(self) -> None:
        """Wait until no run that was ended cleans up any more. One is given up when its time is over."""
        cleaning = [run.task for run in self.held if run.task is not None and run.cause is not None]

        if cleaning:
            await asyncio.wait(cleaning, timeout=self.ending.time_left(self.held))

    def end(self, run: Run, cause: Cause) -> None:
        """End a run from outside: cancel its coroutine, or raise in its thread."""
        self.ending.end(run, cause)

    async def close(self) -> None:
        """No run will come any more: end the processes of jobs, and name the threads that are left."""
        if self._alarm is not None:
            self._alarm.cancel()

        self.ending.tell_of_threads()
        self._imports.close()
        await self._processes.close()

    def _begin(self, run: Run, *, at_once: bool = False) -> None:
        """Give a run its task. at_once: it makes its first step here, where Python has that (3.12).

        When a hundred runs end together, the loop would come to those that take their places only after it has
        seen to the end of the last one.
        """
        self.running += 1
        loop, coroutine = asyncio.get_running_loop(), self._run(run)
        # Not in the context of whoever had the slot before: what that job has set there is its own.
        context = self._context.copy()

        try:  # as own_task does; this is the path of every job
            if sys.version_info >= (3, 12) and at_once:
                run.task = asyncio.Task(coroutine, loop=loop, context=context, eager_start=True)
            else:
                run.task = asyncio.Task(coroutine, loop=loop, context=context)
        except BaseException:  # a run without a task must not be held; the courier finds that it is claimed
            self.running -= 1
            del self.held[run]
            coroutine.close()

            raise

    def _fill(self) -> None:
        """Let runs begin that wait for a slot. One that ends in its first step frees a slot for this same loop."""
        if self._filling:
            return

        self._filling = True

        try:
            while self._waiting and self.running < self.concurrency:
                if not (run := self._waiting.popleft()).ended:
                    self._begin(run, at_once=True)
        finally:
            self._filling = False

    def _lose_patience(self) -> None:
        """Jobs turned out slower than the pace at which they were claimed: others may have room for them."""
        self._review = None

        if self._waiting:
            waited = time.monotonic() - self._waiting[0].taken_at

            if waited >= PATIENCE:
                self.give_back()
            else:
                self._review = asyncio.get_running_loop().call_later(PATIENCE - waited, self._lose_patience)

    def _set_alarm(self, loop: asyncio.AbstractEventLoop, at: float) -> None:
        """One timer for the timeouts of all runs: nearly all end long before, and would cancel their own."""
        if self._alarm is not None:
            self._alarm.cancel()

        self._alarm, self._alarm_at = loop.call_at(at, self._end_late), at

    def _end_late(self) -> None:
        """End the runs whose time is over. The alarm rings again when the next one's may be."""
        loop = asyncio.get_running_loop()
        # The loop may ring a moment early, by the resolution of its clock.
        now = max(loop.time(), self._alarm_at)
        self._alarm, self._alarm_at = None, math.inf

        for run in [run for run in self.held if run.deadline <= now]:
            self.end(run, Cause.TIMEOUT)

        if (following := min((run.deadline for run in self.held), default=math.inf)) < self._alarm_at:
            self._set_alarm(loop, following)

    async def _run(self, run: Run) -> None:
        outcome: Outcome | None
        run.entered, run.task = True, asyncio.current_task()

        try:
            result = await self._call(run)

            if forks.in_fork:  # the job has forked here, and this is the fork
                leave(None)

            run.returned = run.cause is None  # one that was ended and went on all the same has not done its work
            outcome = self._finished(run, result)
        except BaseException as error:  # noqa: BLE001 - SystemExit too: whatever a job raises is its own failure
            if forks.in_fork:
                leave(error)

            outcome = self._failed(run, error)
        finally:
            current.set(None)

        self._settle(run, outcome)

    async def _call(self, run: Run) -> Any:
        record, loop = run.claim.record, asyncio.get_running_loop()

        if b"opts" in record.fields and record.executor == PROCESS:
            return await self._processes.run(run, self._begin_in_process)

        self._limit(run, loop)
        job = CurrentJob(record, run.store, fence=run.claim.fence)
        job.bind(loop)
        current.set(job)

        if record.signer is not None:
            record.verify()

        if (func := self._imports.known.get(record.func_name)) is None:
            func = await self._imports.find(record.func_name)
            run.started_at = loop.time()  # how long it ran is counted without the import

        run.found = True

        if (self._default == PROCESS or b"opts" in record.fields) and self._is_for_a_process(record, func):
            run.deadline = math.inf  # its time begins when it has a process

            return await self._processes.run(run, self._begin_in_process)

        instance, args, kwargs = record.call()

        if instance is not None:
            args = (instance, *args)

        run.begun = True

        if self._telling.jobs:
            self._telling.began(run)

        kind = _kind(func)

        if kind == "coroutine":
            return await func(*args, **kwargs)

        if kind == "generator":
            return [item async for item in func(*args, **kwargs)]

        run.call = ThreadCall(func, args, kwargs)
        result = await to_thread.run_sync(run.call, abandon_on_cancel=True, limiter=self._threads)

        if run.call.dropped:  # it has done its work otherwise, and would do the same again
            run.returned = run.cause is None

            raise NotAwaited(not_awaited(run.call.dropped))

        # A plain function may still hand back something to await: a partial of a coroutine function, say.
        return await result if inspect.isawaitable(result) else result

    async def _find_for_process(self, run: Run) -> Callable[..., Any]:
        """The function of a run, whose time goes on until its module is imported. It waits for a process then."""
        func = self._imports.known.get(run.claim.record.func_name)

        if func is None:
            self._limit(run, asyncio.get_running_loop())
            func = await self._imports.find(run.claim.record.func_name)
            run.deadline = math.inf

        run.found = True

        return func

    def _is_for_a_process(self, record: JobRecord, func: Callable[..., Any]) -> bool:
        """Whether a default sends the function to a process. It concerns plain functions alone."""
        default = record.executor or record.default_executor or self._default

        return default == PROCESS and is_plain(func)

    def _begin_in_process(self, run: Run) -> None:
        run.begun = True
        self._limit(run, asyncio.get_running_loop())

        if self._telling.jobs:
            self._telling.began(run)

    def _limit(self, run: Run, loop: asyncio.AbstractEventLoop) -> None:
        """Its time begins now."""
        run.started_at = now = loop.time()

        if (timeout_ms := run.claim.record.timeout_ms) != FOREVER:
            run.deadline = now + timeout_ms / 1000

            if run.deadline < self._alarm_at:
                self._set_alarm(loop, run.deadline)

    def _finished(self, run: Run, result: Any) -> Outcome | None:
        if run.cause is not None and run.cause is not Cause.INTERRUPTED:  # it swallowed the cancellation
            return self._outcome_of_end(run)

        record = run.claim.record
        own_ttl = record.result_ttl_ms

        if isinstance(result, Packed):
            packed = result.data
        elif isinstance(result, Retry):
            run.returned = False  # its work is not done yet

            raise RetryRequested(result, record.attempt)
        else:
            packed = record.serializer.dumps(result, f"the result of {record.func_name}")

        if record.signer is not None:
            packed = record.seal(b"result", packed)

        if len(packed) > MAX_RESULT:
            raise PayloadTooLarge(
                f"the result of {record.func_name} has {len(packed)} bytes; the limit is {MAX_RESULT}."
                " Store it elsewhere, and return a reference to it"
            )

        ttl_ms = self._result_ttl_ms if own_ttl is None else own_ttl

        return Finished(packed, ttl_ms, b"" if ttl_ms else record.seal(b"result", b""))

    def _failed(self, run: Run, error: BaseException) -> Outcome | None:
        if run.cause is not None:
            return self._outcome_of_end(run)

        return self._decide(run, error)

    def _outcome_of_end(self, run: Run) -> Outcome | None:
        if run.cause is Cause.INTERRUPTED:
            return Interrupted(run.begun)

        if run.cause is not Cause.TIMEOUT:
            return None

        seconds = run.claim.record.timeout_ms / 1000
        at = "" if run.found else "; its module was still being imported"

        return self._decide(run, JobTimeout(f"the run took longer than its timeout of {spelled(seconds)}{at}"))

    def _decide(self, run: Run, error: BaseException) -> Outcome:
        failure = packed_failure(run.claim.record, error, error_text(error))
        run.error = error

        # What has returned is not run again because its result cannot be kept: it would do everything once more.
        if run.returned or (not run.begun and is_final(error, run.found)):
            return Failed(failure)

        try:
            record = run.claim.record
            return decide(error, failure, record.attempt, record.retry, random.random())  # noqa: S311 - jitter
        except Exception:
            # A policy that cannot be read (another version wrote it, or it is damaged) must not hide the failure.
            log.exception("the retry policy of %s cannot be used", run.named)

            return Failed(failure)

    def _settle_ended(self, run: Run) -> None:
        self._settle(run, self._outcome_of_end(run))

    def _settle(self, run: Run, outcome: Outcome | None) -> None:
        if run.ended:
            run.error = None

            return

        run.ended = True
        del self.held[run]

        if run.timer is not None:
            run.timer.cancel()

        if run.task is not None:
            self.running -= 1
            self.ended += 1

        if isinstance(outcome, Finished):
            self.successful += 1
        elif isinstance(outcome, Interrupted):
            self._telling.went_back(run)
        elif outcome is not None:
            self.failed += 1

        if run.error is not None or self._telling.jobs:
            self._telling.ended(run, outcome)

        self._ended(run, outcome)
        self._fill()


def _kind(func: Callable[..., Any]) -> str:
    try:
        return _kind_of(func)
    except TypeError:  # a callable object that cannot be hashed
        return _kind_of.__wrapped__(func)


@lru_cache(maxsize=4096)
def _kind_of(func: Callable[..., Any]) -> str:
    called = func if inspect.isroutine(func) else getattr(func, "__call__", func)  # noqa: B004 - the method itself

    if inspect.isasyncgenfunction(called):
        return "generator"

    return "coroutine" if inspect.iscoroutinefunction(called) or inspect.iscoroutinefunction(func) else "plain"
