"""What a run came to whose function raised, or that was ended from outside, and what is kept of its exception."""

from __future__ import annotations

import asyncio
import logging
import random
import time
from functools import partial

from aioq.values.cause import origin
from aioq.values.durations import spelled
from aioq.values.errors import JobTimeout
from aioq.values.failure import Failure
from aioq.values.fingerprint import fingerprint
from aioq.values.outcome import Again, Failed, Interrupted, Outcome, Retried, decide, is_final
from aioq.values.record import JobRecord
from aioq.values.retry import Retry
from aioq.values.retrying import RetryRequested, bounded_by
from aioq.values.summary import summary
from aioq.worker.run import Cause, Run
from aioq.worker.series import in_series
from aioq.worker.tracebacks import error_text

log = logging.getLogger("aioq.worker")


def outcome_of_error(run: Run, error: BaseException) -> Outcome | None:
    """The outcome of a run in which an exception was raised. A run that was ended has the outcome of its end."""
    return _failed(run, error) if run.cause is None else outcome_of_end(run)


def outcome_of_end(run: Run) -> Outcome | None:
    """The outcome of a run that was ended from outside; None: nothing of it is recorded."""
    if run.cause is Cause.INTERRUPTED:
        return Interrupted(run.begun)

    if run.cause is not Cause.TIMEOUT:
        return None

    seconds = run.claim.record.timeout_ms / 1000
    at = "" if run.found else "; its module was still being imported"

    return _failed(run, JobTimeout(f"the run took longer than its timeout of {spelled(seconds)}{at}"))


def packed_failure(record: JobRecord, error: BaseException, text: str, *, is_last: bool = True) -> str:
    """An exception as it is stored: at a glance, in full, and what a client can build it from.

    Args:
        record: the job that it ended; it signs, if its queue does.
        error: the exception.
        text: the traceback.
        is_last: the job fails with it, so it gets a fingerprint; other runs pay for none.

    """
    made_of = origin(error)
    kind, message = summary(error)
    told = fingerprint(record.func_name, kind, message, text) if is_last else ""

    return Failure(text, kind, message, record.seal(b"error", made_of) if made_of else b"", told).pack()


def _failed(run: Run, error: BaseException) -> Outcome:
    """Whether a run that failed is retried, and when."""
    record = run.claim.record
    # A function that has returned is not run again because its result cannot be kept: it has done its work.
    is_over = run.returned or (not run.begun and is_final(error, run.found))
    plan: Again | str = "" if is_over else _plan(run, error)
    is_asked = isinstance(error, Retry)

    if isinstance(error, Retry):
        error = _request(run, error, plan if isinstance(plan, str) else "")

    failure = packed_failure(record, error, error_text(error), is_last=isinstance(plan, str))
    run.error = error

    if isinstance(plan, str):
        failed = Failed(failure, plan)
        # Then so it would be in all further runs of a series.
        is_certain = not run.begun and is_final(error, run.found)

        return failed if is_certain else in_series(run, failed)

    return Retried(failure, plan.delay_ms, plan.at_front, plan.within_ms, is_asked)


def _plan(run: Run, error: BaseException) -> Again | str:
    record = run.claim.record

    try:
        return decide(error, record.attempt, record.retry, random.random(), partial(_spent_ms, run))  # noqa: S311 - jitter
    except Exception:
        # A policy that cannot be read (another version wrote it, or it is damaged) must not hide the failure.
        log.exception("the retry policy of %s cannot be used", run.named)

        return ""


def _spent_ms(run: Run) -> float:
    """How long ago the first attempt began, by the server's clock up to the claim of this one.

    It may be a little less, never more: time in which the function was imported is missing. The server looks again
    when the next attempt is to begin.
    """
    record = run.claim.record
    waited_s = time.monotonic() - run.taken_at if run.taken_at else 0.0
    ran_s = asyncio.get_running_loop().time() - run.started_at if run.started_at else 0.0

    return record.started_ms - record.first_started_ms + 1000 * max(waited_s, ran_s)


def _request(run: Run, retry: Retry, refusal: str) -> RetryRequested:
    """What is kept of a run that asked for another attempt: how it asked, why that was refused, what led to it."""
    try:
        bounded = bounded_by(retry, run.claim.record.retry)
    except Exception:  # noqa: BLE001 - it is told already that the job's own cannot be read
        bounded = retry

    trace, retry.__traceback__ = (
        retry.__traceback__,
        None,
    )  # a policy that is raised again must not keep its frames
    how = "returned" if trace is None else "raised"
    request = RetryRequested(bounded, run.claim.record.attempt, how, refusal)
    request.__context__, request.__cause__ = retry.__context__, retry.__cause__
    request.__suppress_context__ = retry.__suppress_context__

    return request.with_traceback(trace)
