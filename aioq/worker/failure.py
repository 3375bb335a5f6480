"""What a run came to whose function raised, or that was ended from outside, and what is kept of its exception."""

from __future__ import annotations

import logging
import random

from aioq.values.cause import origin
from aioq.values.durations import spelled
from aioq.values.errors import JobTimeout
from aioq.values.failure import Failure
from aioq.values.outcome import Failed, Interrupted, Outcome, decide, is_final
from aioq.values.record import JobRecord
from aioq.values.summary import summary
from aioq.worker.run import Cause, Run
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


def packed_failure(record: JobRecord, error: BaseException, text: str) -> str:
    """An exception as it is stored: at a glance, in full, and what a client can build it from.

    Args:
        record: the job that it ended; it signs, if its queue does.
        error: the exception.
        text: the traceback.

    """
    made_of = origin(error)

    return Failure(text, *summary(error), record.seal(b"error", made_of) if made_of else b"").pack()


def _failed(run: Run, error: BaseException) -> Outcome:
    """Whether a run that failed is retried, and when."""
    record = run.claim.record
    failure = packed_failure(record, error, error_text(error))
    run.error = error

    # A function that has returned is not run again because its result cannot be kept: it has done its work.
    if run.returned or (not run.begun and is_final(error, run.found)):
        return Failed(failure)

    try:
        return decide(error, failure, record.attempt, record.retry, random.random())  # noqa: S311 - jitter
    except Exception:
        # A policy that cannot be read (another version wrote it, or it is damaged) must not hide the failure.
        log.exception("the retry policy of %s cannot be used", run.named)

        return Failed(failure)
