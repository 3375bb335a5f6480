"""What is kept of the exception that ended a run."""

from __future__ import annotations

from aioq.values.cause import origin
from aioq.values.failure import Failure
from aioq.values.record import JobRecord
from aioq.values.summary import summary


def packed_failure(record: JobRecord, error: BaseException, text: str) -> str:
    """An exception as it is stored: at a glance, in full, and what a client can build it from.

    Args:
        record: the job that it ended; it signs, if its queue does.
        error: the exception.
        text: the traceback.

    """
    made_of = origin(error)

    return Failure(text, *summary(error), record.seal(b"error", made_of) if made_of else b"").pack()
