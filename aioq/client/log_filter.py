"""JobLogFilter: puts the job on every record that is logged inside of it."""

from __future__ import annotations

import logging

from aioq.client.job import Job
from aioq.client.waits import current

#: The attributes that a record gets.
ATTRIBUTES = ("job_id", "queue", "func", "attempt", "worker")


class JobLogFilter(logging.Filter):
    """Puts the attributes `job_id`, `queue`, `func`, `attempt` and `worker` on log records; all of them pass.

    It belongs on a handler: a filter of a logger does not see the records of the loggers below. It knows the job
    where `get_current_job` does. An attribute that a record has already is left as it is.

    Args:
        outside: the value of each attribute on a record that was logged outside of a job (default "-").

    Example:
        >>> handler = logging.StreamHandler()
        >>> handler.addFilter(JobLogFilter())
        >>> handler.setFormatter(logging.Formatter("%(levelname)s %(job_id)s %(message)s"))

    """

    def __init__(self, outside: str | None = "-") -> None:
        super().__init__()
        self._outside = outside

    def filter(self, record: logging.LogRecord) -> bool:
        """Put the attributes on the record; always True."""
        job = current.get()
        values: tuple[str | int | None, ...] = (self._outside,) * len(ATTRIBUTES)

        if isinstance(job, Job) and not hasattr(record, "job_id"):
            values = (job.id, job.origin, job.func_name, job.attempt, job.worker_name)

        for name, value in zip(ATTRIBUTES, values, strict=True):
            record.__dict__.setdefault(name, value)

        return True
