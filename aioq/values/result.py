"""Result: what is kept of one run of a job."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from aioq.values.errors import DeserializationError, ResultNotKept
from aioq.values.failure import Failure, unpack_failure
from aioq.values.moments import moment_of
from aioq.values.record import JobRecord


@dataclass(frozen=True, slots=True)
class Result:
    """One run of a job, as its record or its history keeps it.

    Args:
        job_id: the job.
        type: how the run ended: "finished", "failed", "canceled", "stopped", "expired"; "abandoned" (its
            worker was lost) or "interrupted" (its worker was shut down).
        fence: the number of the claim; 0 if the job was never claimed.
        value: what the function returned, if it finished; the ResultNotKept of one that is not kept.
        exc_info: the traceback, if it failed.
        error_type: the dotted name of the class of what it raised: "httpx.HTTPStatusError"; a builtin one without
            its module: "ValueError"; None if it raised nothing.
        error_message: the first line of that exception's message; None if it raised nothing.
        worker_name: who ran it.
        started_at, ended_at: when; None if unknown.

    """

    job_id: str
    type: str
    fence: int
    value: Any
    exc_info: str | None
    worker_name: str | None
    started_at: datetime | None
    ended_at: datetime | None
    error_type: str | None = None
    error_message: str | None = None

    @property
    def return_value(self) -> Any:
        """What the function returned; None if it has not finished. Raises ResultNotKept."""
        if isinstance(self.value, ResultNotKept):
            raise self.value

        return self.value


def present_result(record: JobRecord) -> Result | None:
    """The last run, if the job has ended.

    Raises:
        DeserializationError: its result cannot be read here.

    """
    if not record.status.is_final:
        return None

    exc_info, error_type, error_message = _parts_of(record.failure)

    return Result(
        record.id,
        record.status.value,
        record.fence,
        value_of(record),
        exc_info,
        record.worker,
        record.started_at,
        record.ended_at,
        error_type,
        error_message,
    )


def value_of(record: JobRecord) -> Any:
    """What a run has returned; the ResultNotKept of one whose result is not kept."""
    try:
        return record.result()
    except ResultNotKept as error:  # the rest is known all the same
        return error


def earlier_result(record: JobRecord, packed: bytes, read: Callable[[JobRecord], Any] = value_of) -> Result:
    """A run from the history, as the scripts pack it.

    Args:
        record: the job.
        packed: a line of JSON; of a run that finished, and whose job has run again, its result stands behind that.
        read: reads that result from a record of the run.

    Raises:
        DeserializationError: it is damaged.

    """
    job_id = record.id
    line, _, value = packed.partition(b"\n")

    try:
        run = json.loads(line.decode(errors="replace"))
        outcome, error, worker = (run[name] for name in ("outcome", "error", "worker"))

        if not all(isinstance(text, str) for text in (outcome, error, worker)):
            raise TypeError("a text is none")  # noqa: TRY301 - damage has many forms and one answer

        exc_info, error_type, error_message = _parts_of(unpack_failure(error) if error else None)

        fields = record.fields | {b"status": outcome.encode(), b"result": value}
        ended = JobRecord(job_id, fields, record.signer)

        return Result(
            job_id,
            outcome,
            int(run["fence"]),
            read(ended),
            exc_info,
            worker or None,
            moment_of(run["started_at"]) if int(run["started_at"]) else None,
            moment_of(run["ended_at"]) if int(run["ended_at"]) else None,
            error_type,
            error_message,
        )
    except (ValueError, TypeError, LookupError, ArithmeticError, OSError, RecursionError) as damage:
        raise DeserializationError(f"an earlier run of job {job_id} cannot be read: {damage}") from None


def _parts_of(failure: Failure | None) -> tuple[str | None, str | None, str | None]:
    """The traceback, type and message of a run that failed."""
    return (None, None, None) if failure is None else (failure.text, failure.type, failure.message)
