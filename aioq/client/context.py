"""The current job, for code that runs inside of one."""

from __future__ import annotations

from typing import Any

from aioq.client.job import Job
from aioq.client.waits import current


def get_current_job() -> Job[Any] | None:
    """The job that this code runs in; None outside of a job.

    It is a context variable: right in coroutines and in the tasks that they start, in plain functions on their
    threads, and in `asyncio.to_thread`. A bare `threading.Thread` starts with an empty context, so None there.

    Example:
        >>> def add(x, y):
        ...     job = get_current_job()
        ...     print("current job:", job.id)
        ...     return x + y

    """
    job = current.get()

    return job if isinstance(job, Job) else None
