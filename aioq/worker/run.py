"""Run: one claim while it is being carried out."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable, Coroutine
from enum import Enum
from typing import Any, TypeVar

from aioq.store import Store
from aioq.values.claim import Claim
from aioq.values.record import JobRecord
from aioq.values.states import JobStatus
from aioq.values.summary import printable
from aioq.worker.taking import Taken
from aioq.worker.threads import ThreadCall

T = TypeVar("T")


def own_task(coroutine: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
    """A task of the worker. It is made without the loop's task factory: a job may have set one that raises."""
    return asyncio.Task(coroutine, loop=asyncio.get_running_loop())


class Cause(Enum):
    """Why the worker ended a run."""

    TIMEOUT = "took longer than its timeout"  # the job's own limit: a failure of the job
    INTERRUPTED = "was interrupted"  # the worker shuts down, or has no room: the job goes back to its lane
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
    """What the worker knows of one run.

    Args:
        store: the queue that the job came from.
        claim: the right to run it.

    """

    __slots__ = (
        "begun",
        "cause",
        "claim",
        "deadline",
        "ended_at",
        "entered",
        "error",
        "found",
        "grace_timer",
        "is_callback",
        "is_over",
        "returned",
        "started_at",
        "store",
        "taken",
        "taken_at",
        "task",
        "thread_call",
        "waits_for_process",
    )

    def __init__(self, store: Store, claim: Claim) -> None:
        self.store = store
        self.claim = claim
        self.is_callback = "." in claim.record.id  # no other job has such an id
        self.taken_at = 0.0  # by the monotonic clock; only of a run that had to wait, such as for a slot
        self.task: asyncio.Task[None] | None = None  # None: it waits for a slot
        self.entered = False  # its task has made its first step
        self.started_at = 0.0  # by the clock of the event loop; 0.0: its time has not begun
        self.ended_at = 0.0  # by the same clock
        self.deadline = math.inf  # by the same clock: when its timeout is over
        self.found = False  # its function was found
        self.waits_for_process = False
        self.begun = False  # its function was called
        self.thread_call: ThreadCall | None = None  # the call on a thread, if its function is a plain one
        self.returned = False  # its function has returned; its result may still be one that cannot be kept
        self.taken: list[Taken] | None = None  # the results of other jobs that are arguments, once they were read
        self.error: BaseException | None = None  # what it failed with, until the log has it
        self.cause: Cause | None = None  # why the worker ended it, or is ending it
        self.grace_timer: asyncio.TimerHandle | None = None  # when its time to clean up is over
        self.is_over = False

    @property
    def name(self) -> bytes:
        """The name of this very run in messages on the control channel."""
        return b"%s%s %d" % (self.store.keys.job, self.id.encode(), self.claim.fence)

    def server_ms(self) -> int:
        """The server's clock, in ms since 1970: that of the claim, and what has passed since."""
        begun = self.taken_at or self.started_at

        return self.claim.record.started_ms + (round(1000 * (time.monotonic() - begun)) if begun else 0)

    @property
    def id(self) -> str:
        return self.claim.record.id

    @property
    def named(self) -> str:
        """The function and the job, as lines of the log name them."""
        return printable(f"{self.claim.record.func_name} (job {self.id})")


#: Called with a run when its time begins: its timeout counts from then on.
StartClock = Callable[[Run], None]


def cause_of_loss(record: JobRecord | None) -> Cause:
    """Why a claim is not valid any more, judged by the record that is stored now."""
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
