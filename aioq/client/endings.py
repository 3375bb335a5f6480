"""What `Job.result()` raises for a job that ended without a value."""

from __future__ import annotations

from aioq.values.cause import ExceptionClasses
from aioq.values.errors import JobCanceled, JobExpired, JobFailed, JobStopped
from aioq.values.failure import Failure
from aioq.values.record import JobRecord
from aioq.values.states import JobStatus

#: The error for each end without a value.
ENDINGS: dict[str, type[JobFailed]] = {
    "failed": JobFailed,
    "canceled": JobCanceled,
    "stopped": JobStopped,
    "expired": JobExpired,
}

#: The state for each of these errors.
STATES: dict[type[JobFailed], str] = {error: state for state, error in ENDINGS.items()}


def ending_error(record: JobRecord, classes: ExceptionClasses) -> JobFailed:
    """The error of a job that ended without a value. Its cause is what the function raised.

    Args:
        record: the job.
        classes: of which exceptions a cause is built.

    """
    status = record.status
    told = f"it is {status}" if record.reason is None else f"it is {status}: {record.reason}"
    failure = record.failure or Failure(told, message=told)
    error = ENDINGS[status](record.id, failure.text, failure.type, failure.message)

    if status == JobStatus.FAILED:
        error.__cause__ = record.cause(classes)

        if error.__cause__ is None and failure.type in classes:
            error.add_note(f"No __cause__ was made of {failure.type}: {_why_not(record, failure)}. Use error_type")

    return error


def _why_not(record: JobRecord, failure: Failure) -> str:
    """Why an exception was not built of a class that is listed."""
    if not failure.origin:
        return "its arguments are no plain values, or have more than 2 KiB"

    also = "" if record.signer is None else ", or they are not signed for this job"

    return f"its __init__ does not keep the arguments that it is given{also}"
