"""Settings: what a worker was told to do."""

from __future__ import annotations

from dataclasses import dataclass, field

from aioq.values.allowlist import Allowlist
from aioq.values.options import THREAD
from aioq.worker.ending import CANCEL_GRACE_S
from aioq.worker.user_code import UserCode


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
    job_processes: int = 1
    cancel_grace: float = CANCEL_GRACE_S
    log_jobs: bool = False
    executor: str = THREAD
    user_code: UserCode = field(default_factory=UserCode)
