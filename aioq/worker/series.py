"""Series: what follows from a run whose job repeats."""

from __future__ import annotations

import logging

from aioq.values.outcome import Failed, FailedRun, Finished, FinishedRun
from aioq.values.record import JobRecord
from aioq.values.repeat import MARK
from aioq.worker.run import Run

log = logging.getLogger("aioq.worker")


def repeats(record: JobRecord) -> bool:
    """Whether a job repeats, if its options can be read. Nothing is unpacked for any other job."""
    return MARK in record.fields.get(b"opts", b"") and "repeat" in record.opts


def check_series(record: JobRecord) -> None:
    """Refuse a run of which this worker could not tell when the next one is due.

    Raises:
        InvalidInput: cronsim is missing here, or data of time zones.

    """
    if (repeat := record.repeat) is not None:
        repeat.check()


def in_series(run: Run, outcome: Finished | Failed) -> Finished | Failed:
    """The outcome of a run whose job may repeat: whether the job runs again, and when."""
    record = run.claim.record

    if not repeats(record) or (repeat := record.repeat) is None:
        return outcome

    if isinstance(outcome, Failed) and repeat.on_failure == "stop":
        return outcome

    try:
        due_ms = repeat.due_ms(record.repeats, run.server_ms(), record.due_ms)
    except Exception:
        # The run is over, whatever the rule says: another version may have written it.
        log.exception("nobody can tell when %s is due again, so its series is over", run.named)

        return outcome

    if due_ms is None:
        return outcome

    if isinstance(outcome, Finished):
        return FinishedRun(outcome.result, outcome.ttl_ms, outcome.instead, due_ms)

    return FailedRun(outcome.error, outcome.refusal, due_ms)
