"""Settings: what a worker was told to do."""

from __future__ import annotations

import os
import re
import socket
from dataclasses import dataclass, field

from aioq.values.allowlist import Allowlist
from aioq.values.errors import InvalidInput
from aioq.values.numbers import whole
from aioq.values.options import THREAD
from aioq.values.sizes import Size, read_size
from aioq.worker.ending import CANCEL_GRACE_S
from aioq.worker.for_tests import ForTests
from aioq.worker.memory import check_readable
from aioq.worker.user_code import UserCode
from aioq.worker.webhook_settings import WebhookSettings


@dataclass(frozen=True, slots=True)
class ProcessLimits:
    """The processes that a worker has for jobs.

    Args:
        number: how many there may be.
        max_jobs: how many jobs each may run; None: any number.
        max_memory: the bytes that each may hold after a job; None: any number.

    """

    number: int = 1
    max_jobs: int | None = None
    max_memory: int | None = None


@dataclass(frozen=True, slots=True)
class WorkerSettings:
    """What a worker was told to do. Times are in seconds, unless their names say otherwise."""

    name: str
    queues: tuple[str, ...]
    concurrency: int
    result_ttl_ms: int
    shutdown_timeout: float
    burst: bool
    max_jobs: int | None
    max_idle_time: float | None
    signals: bool
    allow: Allowlist | None = None
    job_processes: ProcessLimits = ProcessLimits()
    cancel_grace: float = CANCEL_GRACE_S
    log_jobs: bool = False
    executor: str = THREAD
    user_code: UserCode = field(default_factory=UserCode)
    schemas: str = ""
    webhooks: WebhookSettings = field(default_factory=WebhookSettings)
    for_tests: ForTests | None = None


def read_process_limits(number: int | None, max_jobs: int | None, max_memory: Size | None) -> ProcessLimits:
    """The limits of the processes for jobs, as they were given to a worker.

    Raises:
        InvalidInput: one cannot be used.

    """
    if max_memory is not None:
        check_readable("job_process_max_memory", "job_process_max_jobs")

    return ProcessLimits(
        whole(os.cpu_count() or 1 if number is None else number, "job_processes", 1),
        None if max_jobs is None else whole(max_jobs, "job_process_max_jobs", 1),
        None if max_memory is None else read_size(max_memory, "job_process_max_memory"),
    )


def read_name(name: str | None) -> str:
    """The beginning of a worker's name: as a user gives it, else the host and the process. Raises InvalidInput."""
    if name is None:
        return f"{re.sub('[^A-Za-z0-9_-]', '-', socket.gethostname())[:40]}.{os.getpid()}"

    if not re.fullmatch(r"[A-Za-z0-9_.-]{1,100}", name):
        raise InvalidInput(f"name={name!r}: expected 1 to 100 of the characters A-Z a-z 0-9 _ . -")

    return name
