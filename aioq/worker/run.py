"""Run: one claim while it is being carried out."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Coroutine
from enum import Enum
from typing import Any, TypeVar

from aioq.store import Store
from aioq.values.claim import Claim
from aioq.values.record import JobRecord
from aioq.values.states import JobStatus
from aioq.values.summary import printable
from aioq.worker.threads import ThreadCall

T = TypeVar("T")


def own_task(coroutine: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
    """A task of the worker. The loop's task factory is not asked: a job may have set one that raises."""
    return asyncio.Task(coroutine, loop=asyncio.get_running_loop())


class Cause(Enum):
    """Why the worker ended a run that had not ended by itself."""

    TIMEOUT = "took longer than its timeout"  # the job's own limit: a failure of the job
    INTERRUPTED = "was interrupted"  # the worker shuts down: the job goes back to its lane
    # The claim is not valid any more: nothing is recorded.
    CANCELED = "was canceled"
    STOPPED = "was stopped"
    DELETED = "was deleted"
    GONE = "is gone from the server"
    LOST = "lost its claim"

    @property
    def is_drop(self) -> bool:
        """Whether nothing of the run is recorded."""
        return self not in (Cause.TIMEOUT, Cause.INTERRUPTED)


_BY_STATUS: dict[str | None, Cause] = {JobStatus.CANCELED: Cause.CANCELED, JobStatus.STOPPED: Cause.STOPPED}


class Run:
    """What the executor knows of a run.

    Args:
        store: the queue that the job came from.
        claim: the right to run it.

    """

    __slots__ = (
        "begun",
        "call",
        "cause",
        "claim",
        "deadline",
        "ended",
        "entered",
        "error",
        "found",
        "returned",
        "started_at",
        "store",
        "taken_at",
        "task",
        "timer",
    )

    def __init__(self, store: Store, claim: Claim) -> None:
        self.store = store
        self.claim = claim
        self.task: asyncio.Task[None] | None = None
        self.timer: asyncio.TimerHandle | None = None
        self.call: ThreadCall | None = None
        self.cause: Cause | None = None
        self.error: BaseException | None = None  # what it failed with, until that is told
        self.taken_at = 0.0
        self.started_at = 0.0  # by the clock of the event loop; 0.0: it has not begun
        self.deadline = math.inf
        self.entered = False
        self.found = False  # its function was
        self.begun = False
        self.returned = False  # its function has; what it returned may still be nothing that can be kept
        self.ended = False

    @property
    def name(self) -> bytes:
        """What a message on the control channel calls this very run."""
        return b"%s%s %d" % (self.store.keys.job, self.id.encode(), self.claim.fence)

    @property
    def id(self) -> str:
        return self.claim.record.id

    @property
    def named(self) -> str:
        """The function and the job, as lines of the log name them."""
        return printable(f"{self.claim.record.func_name} (job {self.id})")


def cause_of_loss(record: JobRecord | None) -> Cause:
    """Why a claim is not valid any more, by what is stored of the job by now."""
    if record is None:
        return Cause.GONE

    return _BY_STATUS.get(record.status, Cause.LOST)


def attributes(run: Run) -> dict[str, Any]:
    """The attributes of a record about a run."""
    record = run.claim.record

    return {
        "job_id": run.id,
        "queue": run.store.queue,
        "func": record.func_name,
        "attempt": record.attempt,
        "worker": record.worker,
    }
